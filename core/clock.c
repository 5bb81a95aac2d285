/*
 * clock.c - clocks, and time as text
 *
 * Days are counted in the proleptic Gregorian calendar with years that begin in March,
 * so that the leap day is the last of its year.
 */
#include "core/clock.h"

#include <time.h>

#define BUSP_SECOND_US INT64_C(1000000)
#define BUSP_DAY_US (INT64_C(86400) * BUSP_SECOND_US)
/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z */
#define BUSP_TIME_LEAST (INT64_C(-719162) * BUSP_DAY_US)
#define BUSP_TIME_MOST (INT64_C(2932897) * BUSP_DAY_US - 1)

static int64_t
busp_system_wall_us(void *ctx)
{
	(void)ctx;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * BUSP_SECOND_US + now.tv_nsec / 1000;
}

static int64_t
busp_system_mono_ms(void *ctx)
{
	(void)ctx;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
bus_clock_boot_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const bus_clock *
bus_clock_system(void)
{
	static const bus_clock clock = { busp_system_wall_us, busp_system_mono_ms, NULL };
	return &clock;
}

static int64_t
busp_manual_wall_us(void *ctx)
{
	return ((const bus_clock_manual *)ctx)->wall_us;
}

static int64_t
busp_manual_mono_ms(void *ctx)
{
	return ((const bus_clock_manual *)ctx)->mono_ms;
}

void
bus_clock_manual_init(bus_clock_manual *manual, int64_t wall_us)
{
	*manual = (bus_clock_manual){
		.clock = { busp_manual_wall_us, busp_manual_mono_ms, manual },
		.wall_us = wall_us,
	};
}

/* Years from 1 on. */
static int64_t
busp_days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year =
		(153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era =
		year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

static int
busp_days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month == 2 && leap ? 29 : days[month - 1];
}

/* A cursor over the text; every taker moves it or says no. */
typedef struct busp_scan {
	const char *at;
	const char *end;
} busp_scan;

static bool
busp_take_number(busp_scan *scan, int digits, int *ret_number)
{
	if (scan->end - scan->at < digits) {
		return false;
	}
	int number = 0;
	for (int i = 0; i < digits; i++) {
		unsigned digit = (unsigned)(scan->at[i] - '0');
		if (digit > 9) {
			return false;
		}
		number = number * 10 + (int)digit;
	}
	scan->at += digits;
	*ret_number = number;
	return true;
}

static bool
busp_take_char(busp_scan *scan, char upper, char lower)
{
	if (scan->at == scan->end || (*scan->at != upper && *scan->at != lower)) {
		return false;
	}
	scan->at++;
	return true;
}

/* "." and at least one digit, or nothing at all. */
static bool
busp_take_fraction(busp_scan *scan, int64_t *ret_us)
{
	*ret_us = 0;
	if (!busp_take_char(scan, '.', '.')) {
		return true;
	}
	int64_t unit = BUSP_SECOND_US / 10;
	const char *first = scan->at;
	for (int digit; busp_take_number(scan, 1, &digit); unit /= 10) {
		*ret_us += digit * unit;
	}
	return scan->at > first;
}

static bool
busp_take_offset(busp_scan *scan, int64_t *ret_minutes)
{
	*ret_minutes = 0;
	if (busp_take_char(scan, 'Z', 'z')) {
		return true;
	}
	bool west = busp_take_char(scan, '-', '-');
	int hours;
	int minutes;
	if ((!west && !busp_take_char(scan, '+', '+')) ||
	    !busp_take_number(scan, 2, &hours) || !busp_take_char(scan, ':', ':') ||
	    !busp_take_number(scan, 2, &minutes) || hours > 23 || minutes > 59) {
		return false;
	}
	*ret_minutes = (west ? -1 : 1) * (hours * 60 + minutes);
	return true;
}

bool
bus_time_parse(bus_str text, int64_t *ret_us)
{
	busp_scan scan = { text.data, text.data + text.len };
	int year, month, day, hour, minute, second;
	int64_t fraction_us, offset_minutes;
	if (text.data == NULL || !busp_take_number(&scan, 4, &year) ||
	    !busp_take_char(&scan, '-', '-') || !busp_take_number(&scan, 2, &month) ||
	    !busp_take_char(&scan, '-', '-') || !busp_take_number(&scan, 2, &day) ||
	    !busp_take_char(&scan, 'T', 't') || !busp_take_number(&scan, 2, &hour) ||
	    !busp_take_char(&scan, ':', ':') || !busp_take_number(&scan, 2, &minute) ||
	    !busp_take_char(&scan, ':', ':') || !busp_take_number(&scan, 2, &second) ||
	    !busp_take_fraction(&scan, &fraction_us) ||
	    !busp_take_offset(&scan, &offset_minutes) || scan.at != scan.end) {
		return false;
	}
	if (year < 1 || month < 1 || month > 12 || day < 1 ||
	    day > busp_days_in(year, month) || hour > 23 || minute > 59 || second > 60) {
		return false;
	}
	int64_t minutes = busp_days_of(year, month, day) * 1440 + hour * 60 + minute -
			  offset_minutes;
	if (second == 60 && (minutes % 1440 + 1440) % 1440 != 1439) {
		/* a leap second is only ever the last of a UTC day */
		return false;
	}
	int64_t us = (minutes * 60 + second) * BUSP_SECOND_US + fraction_us;
	if (us < BUSP_TIME_LEAST || us > BUSP_TIME_MOST) {
		return false;
	}
	*ret_us = us;
	return true;
}

static void
busp_put_number(char *to, int64_t number, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		to[i] = (char)('0' + number % 10);
		number /= 10;
	}
}

size_t
bus_time_format(int64_t time_us, char ret_text[BUS_TIME_TEXT_MAX])
{
	/* four digits of year are all there is room for */
	int64_t us = time_us < BUSP_TIME_LEAST ? BUSP_TIME_LEAST :
		     time_us > BUSP_TIME_MOST  ? BUSP_TIME_MOST :
						 time_us;
	int64_t days = us / BUSP_DAY_US - (us % BUSP_DAY_US < 0);
	int64_t in_day = us - days * BUSP_DAY_US;

	int64_t z = days + 719468;
	int64_t era = z / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
			       day_of_era / 146096) /
			      365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t mp = (5 * day_of_year + 2) / 153;
	int64_t month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = year_of_era + era * 400 + (month <= 2);

	memcpy(ret_text, "0000-00-00T00:00:00.000000Z", BUS_TIME_TEXT_MAX);
	busp_put_number(ret_text, year, 4);
	busp_put_number(ret_text + 5, month, 2);
	busp_put_number(ret_text + 8, day_of_year - (153 * mp + 2) / 5 + 1, 2);
	busp_put_number(ret_text + 11, in_day / BUSP_SECOND_US / 3600, 2);
	busp_put_number(ret_text + 14, in_day / BUSP_SECOND_US / 60 % 60, 2);
	busp_put_number(ret_text + 17, in_day / BUSP_SECOND_US % 60, 2);
	busp_put_number(ret_text + 20, in_day % BUSP_SECOND_US, 6);
	return BUS_TIME_TEXT_MAX - 1;
}
