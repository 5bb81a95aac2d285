/*
 * publish.c - every event has an outcome when it returns
 *
 * DESIGN
 * Publications become frames in the order given, each frame one APPEND that happens whole
 * or not at all. Up to four are under way; the broker carries them out by their sequence,
 * whatever order they come in and however often, so an event never lies behind one that is
 * missing. What is refused for now is sent again, the same bytes under the same sequence,
 * while there is time. When not all of a call became durable, its producer is forgotten:
 * what of it is still on the way can then neither fill a gap nor be taken for something new.
 */
#include <stdlib.h>

#include "broker-adapters/nng/nng_adapter.h"
#include "core/partition.h"

/* Partitions in one frame: what they take beside the records has to fit, too. */
#define BUSP_PLACES_MAX 1024u
/* Pause before what was refused is sent again: doubled each time, up to the second. */
#define BUSP_AGAIN_MS_MIN 10
#define BUSP_AGAIN_MS_MAX 200
/* The broker does not remember producers for ever; one that was idle is not asked for. */
#define BUSP_PRODUCER_IDLE_MS 60000

/* The records of one partition in the frame that is being made. */
typedef struct busp_place {
	busp_target *target;
	int32_t partition;
	busp_batch_maker maker;
} busp_place;

/* One frame, from being made to its outcome. */
typedef struct busp_append {
	bool busy;
	uint64_t sequence;
	size_t first; /* publications, those that were put in: UNCERTAIN so long */
	size_t last;  /* one past */
	uint32_t places;
	bus_buf frame;
	busp_call *call;  /* NULL: waits to be sent again */
	int64_t again_ms; /* when */
	int pause_ms;
	bool repeated; /* may have come twice: then a refusal is no proof */
} busp_append;

typedef struct busp_appends {
	busp_append each[BUSP_APPENDS_MAX];
	busp_place places[BUSP_PLACES_MAX];
	uint32_t place_count;
} busp_appends;

/* One call of publish. */
typedef struct busp_publishing {
	busp_nng *self;
	bus_publication *publications;
	size_t count;
	size_t next; /* the first that was not looked at */
	int64_t deadline_ms;
	bool ended;           /* nothing more is put into frames */
	busp_target *missing; /* asked for, and is not there */
	bus_error fatal;
	bus_error cause; /* of the first that did not become durable for another reason */
} busp_publishing;

/* ---- making a frame ---- */

static bus_status
busp_publication_target(busp_publishing *p, bus_publication *publication,
			busp_target **ret_target, bus_error *err)
{
	if (p->missing != NULL && strcmp(p->missing->name, publication->topic) == 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_NO_TOPIC,
				     "no topic %.300s", publication->topic);
	}
	bus_status status =
		busp_nng_target_ask(p->self, publication->topic,
				    busp_remaining_ms(bus_clock_system(), p->deadline_ms),
				    ret_target, err);

	if (status == BUS_E_FATAL && err->native_code == BUSP_NO_TOPIC) {
		p->missing = busp_nng_target(p->self, publication->topic);
	}
	return status;
}

static bus_status
busp_publication_check(const bus_publication *publication, const busp_target *target,
		       int32_t *ret_partition, bus_error *err)
{
	const bus_record *record = &publication->record;
	size_t bytes = bus_record_bytes(record);
	int32_t partition = publication->partition;

	if (partition == BUS_PARTITION_HOME) {
		partition = bus_partition_home(record->key, target->partitions);
	}
	if (partition < 0 || partition >= target->partitions) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_NO_PARTITION,
				     "topic %s has no partition %d, it has %d",
				     target->name, partition, target->partitions);
	}
	if (bytes > BUSP_RECORD_BYTES_MAX || busp_body_bytes(record) > BUSP_FRAME_BODIES) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_TOO_LARGE,
				     "publish to %s: a record of %zu bytes and %zu "
				     "headers, at most %u",
				     target->name, bytes, record->header_count,
				     BUSP_RECORD_BYTES_MAX);
	}
	for (size_t i = 0; i < record->header_count; i++) {
		if (record->headers[i].name.data == NULL) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_INVALID,
					     "publish to %s: a header without a name",
					     target->name);
		}
	}
	*ret_partition = partition;
	return BUS_OK;
}

/* Its place in the frame, new if it has none; NULL: there is no room for one more. */
static busp_place *
busp_place_use(busp_appends *appends, busp_target *target, int32_t partition)
{
	uint32_t *number = &target->places[partition];

	if (*number == 0) {
		if (appends->place_count == BUSP_PLACES_MAX) {
			return NULL;
		}
		appends->places[appends->place_count].target = target;
		appends->places[appends->place_count].partition = partition;
		*number = ++appends->place_count;
	}
	return &appends->places[*number - 1];
}

/* Where a publication lies in its frame is kept where its offset will be. */
static int64_t
busp_spot(uint32_t place, uint32_t index)
{
	return (int64_t)((uint64_t)place << 32 | index);
}

/* Puts the next publication into the frame; false if it belongs into the next frame. */
static bool
busp_append_add(busp_publishing *p, busp_append *append, size_t *bodies)
{
	busp_appends *appends = p->self->appends;
	bus_publication *publication = &p->publications[p->next];
	bus_error err = BUS_ERROR_INIT;
	busp_target *target = NULL;
	int32_t partition = 0;
	bus_status status = busp_publication_target(p, publication, &target, &err);

	if (status == BUS_OK) {
		status = busp_publication_check(publication, target, &partition, &err);
	}
	if (status != BUS_OK) {
		publication->native_code = err.native_code;
		p->ended = status != BUS_E_FATAL;
		bus_error *first = status == BUS_E_FATAL ? &p->fatal : &p->cause;

		if (first->status == BUS_OK) {
			*first = err;
		}
		return !p->ended;
	}
	size_t bytes = busp_body_bytes(&publication->record);

	if (*bodies > 0 && *bodies + bytes > BUSP_FRAME_BODIES) {
		return false;
	}
	busp_place *place = busp_place_use(appends, target, partition);

	if (place == NULL) {
		return false;
	}
	publication->outcome = BUS_OUTCOME_UNCERTAIN;
	publication->ret_partition = partition;
	publication->ret_offset =
		busp_spot(target->places[partition] - 1, place->maker.count);
	busp_batch_add(&place->maker, &publication->record);
	*bodies += bytes;
	append->places = appends->place_count;
	return true;
}

static void
busp_append_write(busp_nng *self, busp_append *append)
{
	busp_appends *appends = self->appends;
	bus_buf *frame = &append->frame;

	if (self->producer == 0) {
		self->producer = busp_random();
		self->sequence = 0;
	}
	append->sequence = ++self->sequence;
	busp_client_request(self->client, frame, BUSP_OP_APPEND);
	bus_buf_be64(frame, self->producer);
	bus_buf_be64(frame, append->sequence);
	bus_buf_be32(frame, appends->place_count);
	for (uint32_t i = 0; i < appends->place_count; i++) {
		busp_place *place = &appends->places[i];

		busp_put_text(frame, bus_str_from(place->target->name));
		bus_buf_be32(frame, (uint32_t)place->partition);
		busp_put_batch(frame, place->maker.count,
			       bus_buf_view(&place->maker.directory),
			       bus_buf_view(&place->maker.bodies));
		place->target->places[place->partition] = 0;
		busp_batch_clear(&place->maker);
	}
	appends->place_count = 0;
}

/* Makes a frame of what comes next and sends it, if there is anything. */
static void
busp_append_begin(busp_publishing *p, busp_append *append)
{
	size_t bodies = 0;

	append->first = p->next;
	append->places = 0;
	while (p->next < p->count && !p->ended && busp_append_add(p, append, &bodies)) {
		p->next++;
	}
	append->last = p->next;
	if (append->places == 0) {
		return;
	}
	busp_append_write(p->self, append);
	append->busy = true;
	append->repeated = false;
	append->pause_ms = BUSP_AGAIN_MS_MIN;
	append->call = busp_call_begin(p->self->client, &append->frame);
}

/* ---- outcomes ---- */

static void
busp_append_conclude(busp_publishing *p, busp_append *append, bus_outcome outcome,
		     const bus_error *cause)
{
	for (size_t i = append->first; i < append->last; i++) {
		if (p->publications[i].outcome == BUS_OUTCOME_UNCERTAIN) {
			p->publications[i].outcome = outcome;
			p->publications[i].native_code = cause->native_code;
		}
	}
	append->busy = false;
	bus_error *first = cause->status == BUS_E_FATAL ? &p->fatal : &p->cause;

	if (first->status == BUS_OK) {
		*first = *cause;
	}
}

/* No answer, or none that can be understood. */
static void
busp_append_lose(busp_publishing *p, busp_append *append, bus_status status,
		 const char *why)
{
	bus_error cause = BUS_ERROR_INIT;

	(void)bus_error_set(&cause, status, BUSP_ORIGIN, BUSP_MALFORMED, "%s", why);
	busp_append_conclude(p, append, BUS_OUTCOME_UNCERTAIN, &cause);
	p->ended = true;
}

static void
busp_append_durable(busp_publishing *p, busp_append *append, busp_reader *reader)
{
	int64_t bases[BUSP_PLACES_MAX];
	uint32_t count = busp_get_count(reader, 16);

	for (uint32_t i = 0; i < count && count == append->places; i++) {
		bases[i] = (int64_t)busp_get_u64(reader);
		(void)busp_get_u64(reader); /* the time */
	}
	if (count != append->places || !busp_reader_done(reader)) {
		busp_append_lose(p, append, BUS_E_FATAL, "the answer breaks the protocol");
		return;
	}
	for (size_t i = append->first; i < append->last; i++) {
		bus_publication *publication = &p->publications[i];

		if (publication->outcome == BUS_OUTCOME_UNCERTAIN) {
			uint64_t spot = (uint64_t)publication->ret_offset;

			publication->outcome = BUS_OUTCOME_DURABLE;
			publication->ret_offset = bases[spot >> 32] + (uint32_t)spot;
		}
	}
	append->busy = false;
}

/* Those behind one that will never happen cannot happen either. */
static void
busp_append_end_later(busp_publishing *p, const busp_append *ended, bus_outcome outcome,
		      const bus_error *cause)
{
	busp_appends *appends = p->self->appends;

	p->ended = true;
	for (size_t i = 0; i < BUSP_APPENDS_MAX; i++) {
		busp_append *append = &appends->each[i];

		if (append->busy && append->sequence > ended->sequence) {
			busp_call_forget(append->call);
			busp_append_conclude(p, append, outcome, cause);
		}
	}
}

static bool
busp_append_again(busp_publishing *p, busp_append *append)
{
	int64_t again_ms = busp_now_ms() + append->pause_ms;

	if (again_ms >= p->deadline_ms) {
		return false;
	}
	append->again_ms = again_ms;
	append->pause_ms = append->pause_ms * 2 < BUSP_AGAIN_MS_MAX ?
				   append->pause_ms * 2 :
				   BUSP_AGAIN_MS_MAX;
	return true;
}

static void
busp_append_refused(busp_publishing *p, busp_append *append, const bus_error *cause)
{
	busp_refusal refusal = (busp_refusal)cause->native_code;
	bool passes = refusal == BUSP_BUSY || refusal == BUSP_NO_SPACE ||
		      refusal == BUSP_OUT_OF_SEQUENCE;

	if (passes && busp_append_again(p, append)) {
		return;
	}
	bool doubtful = refusal == BUSP_FORGOTTEN ||
			(cause->status != BUS_E_FATAL && append->repeated);
	bus_outcome outcome = doubtful ? BUS_OUTCOME_UNCERTAIN : BUS_OUTCOME_FAILED;

	if (refusal == BUSP_NO_TOPIC || refusal == BUSP_NO_PARTITION) {
		/* a broker that was made anew: it is asked about all topics again */
		for (size_t i = 0; i < p->self->target_count; i++) {
			p->self->targets[i]->partitions = 0;
		}
	}
	busp_append_conclude(p, append, outcome, cause);
	busp_append_end_later(p, append, outcome, cause);
}

/* The time is up. */
static void
busp_append_expire(busp_publishing *p, busp_append *append)
{
	bool failed = !append->repeated;
	bus_error cause = BUS_ERROR_INIT;

	if (append->call != NULL) {
		failed = busp_call_unsent(append->call) && failed;
	}
	append->call = NULL;
	(void)busp_client_refuse_unreachable(p->self->client, "no answer", &cause);
	busp_append_conclude(p, append,
			     failed ? BUS_OUTCOME_FAILED : BUS_OUTCOME_UNCERTAIN, &cause);
}

/* The call is done. */
static void
busp_append_take(busp_publishing *p, busp_append *append)
{
	int result = 0;
	bool sent = false;
	bus_error cause = BUS_ERROR_INIT;
	busp_reader reader;

	append->repeated = append->repeated || busp_call_repeated(append->call);
	nng_msg *answer = busp_call_end(append->call, &result, &sent);

	append->call = NULL;
	if (answer == NULL) {
		/* the link was given up: on the next one it is the same request */
		append->repeated = append->repeated || sent;
		if (!busp_append_again(p, append)) {
			busp_append_expire(p, append);
		}
		return;
	}
	if (busp_answer_read(answer, BUSP_OP_APPEND, &reader, &cause) == BUS_OK) {
		busp_append_durable(p, append, &reader);
	} else if (reader.bad) {
		busp_append_lose(p, append, BUS_E_FATAL, cause.text);
	} else {
		busp_append_refused(p, append, &cause);
	}
	nng_msg_free(answer);
}

/* ---- all of them ---- */

/* Takes what is done, sends what is due; returns when something is due next. */
static int64_t
busp_appends_step(busp_publishing *p)
{
	busp_appends *appends = p->self->appends;
	int64_t due_ms = p->deadline_ms;
	bool pausing = false;

	for (size_t i = 0; i < BUSP_APPENDS_MAX; i++) {
		busp_append *append = &appends->each[i];

		if (append->busy && append->call != NULL && busp_call_done(append->call)) {
			busp_append_take(p, append);
		}
		if (append->busy && append->call == NULL) {
			if (append->again_ms <= busp_now_ms()) {
				append->call =
					busp_call_begin(p->self->client, &append->frame);
			} else {
				pausing = true;
				due_ms = append->again_ms < due_ms ? append->again_ms :
								     due_ms;
			}
		}
	}
	for (size_t i = 0; i < BUSP_APPENDS_MAX && !pausing; i++) {
		if (!appends->each[i].busy) {
			busp_append_begin(p, &appends->each[i]);
		}
	}
	return due_ms;
}

static bool
busp_appends_busy(const busp_appends *appends)
{
	for (size_t i = 0; i < BUSP_APPENDS_MAX; i++) {
		if (appends->each[i].busy) {
			return true;
		}
	}
	return false;
}

static void
busp_appends_tend(busp_publishing *p)
{
	const busp_appends *appends = p->self->appends;
	bool overdue = false;

	for (size_t i = 0; i < BUSP_APPENDS_MAX; i++) {
		const busp_append *append = &appends->each[i];

		overdue = overdue || (append->busy && append->call != NULL &&
				      busp_call_overdue(append->call, 0));
	}
	if (overdue) {
		busp_client_renew(p->self->client);
	}
	busp_client_tend(p->self->client);
}

static void
busp_appends_run(busp_publishing *p)
{
	busp_appends *appends = p->self->appends;

	for (;;) {
		uint64_t seen = busp_client_changes(p->self->client);
		int64_t due_ms = busp_appends_step(p);

		if (!busp_appends_busy(appends) && (p->ended || p->next == p->count)) {
			return;
		}
		int64_t tend_ms = busp_now_ms() + BUSP_TEND_MS;

		(void)busp_client_await(p->self->client, seen,
					tend_ms < due_ms ? tend_ms : due_ms);
		if (busp_now_ms() >= p->deadline_ms) {
			break;
		}
		busp_appends_tend(p);
	}
	for (size_t i = 0; i < BUSP_APPENDS_MAX; i++) {
		busp_append *append = &appends->each[i];

		if (append->busy && append->call != NULL && busp_call_done(append->call)) {
			busp_append_take(p, append);
		}
		if (append->busy) {
			busp_append_expire(p, append);
		}
	}
}

/* The answer of publish, from the outcomes. */
static bus_status
busp_publishing_end(busp_publishing *p, bus_error *err)
{
	bool uncertain = false;
	bus_publication *worst = NULL;

	for (size_t i = 0; i < p->count; i++) {
		bus_publication *publication = &p->publications[i];

		if (publication->outcome != BUS_OUTCOME_DURABLE &&
		    (worst == NULL ||
		     (!uncertain && publication->outcome == BUS_OUTCOME_UNCERTAIN))) {
			worst = publication;
			uncertain = publication->outcome == BUS_OUTCOME_UNCERTAIN;
		}
	}
	if (worst == NULL) {
		p->self->appended_ms = busp_now_ms();
		return BUS_OK;
	}
	p->self->producer = 0;
	bool fatal = p->fatal.status == BUS_E_FATAL;
	const bus_error *cause = fatal ? &p->fatal : &p->cause;

	return bus_error_set(err,
			     fatal     ? BUS_E_FATAL :
			     uncertain ? BUS_E_UNKNOWN :
					 BUS_E_RETRY,
			     BUSP_ORIGIN, cause->native_code, "publish to %.200s: %.300s",
			     worst->topic, cause->text);
}

bus_status
busp_nng_publish(bus_adapter *adapter, bus_publication *publications, size_t count,
		 int timeout_ms, bus_error *err)
{
	busp_nng *self = busp_nng_of(adapter);
	int64_t now_ms = busp_now_ms();
	busp_publishing publishing = {
		.self = self,
		.publications = publications,
		.count = count,
		.deadline_ms = now_ms + timeout_ms,
		.fatal = BUS_ERROR_INIT,
		.cause = BUS_ERROR_INIT,
	};

	for (size_t i = 0; i < count; i++) {
		publications[i].outcome = BUS_OUTCOME_FAILED;
		publications[i].native_code = 0;
	}
	if (self->appends == NULL) {
		self->appends = busp_adapter_alloc(1, sizeof(*self->appends));
	}
	if (now_ms - self->appended_ms > BUSP_PRODUCER_IDLE_MS) {
		self->producer = 0;
	}
	busp_appends_run(&publishing);
	return busp_publishing_end(&publishing, err);
}

void
busp_nng_publish_free(busp_nng *self)
{
	if (self->appends == NULL) {
		return;
	}
	for (size_t i = 0; i < BUSP_APPENDS_MAX; i++) {
		bus_buf_fini(&self->appends->each[i].frame);
	}
	for (size_t i = 0; i < BUSP_PLACES_MAX; i++) {
		busp_batch_fini(&self->appends->places[i].maker);
	}
	free(self->appends);
}
