/*
 * settings.c - where the broker is and how to speak to it, from URL and properties; the
 * socket that is made of it
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/nng/client.h"

#define BUSP_SCHEME_NNG "nng+" /* before the URL as nng takes it */
#define BUSP_SCHEME_TCP "nng+tcp://"
#define BUSP_SCHEME_TLS "nng+tls+tcp://"
#define BUSP_PROPERTIES_MAX 4096
/* A broker that is started again is found within these. */
#define BUSP_RECONNECT_MIN_MS 20
#define BUSP_RECONNECT_MAX_MS 500

typedef struct busp_settings {
	bool tls;
	char *token_file; /* in text */
	char *tls_ca_file;
	char text[BUSP_PROPERTIES_MAX];
} busp_settings;

/* ---- what was asked for ---- */

static bool
busp_port_valid(const char *text)
{
	char *end = NULL;
	long port = strtol(text, &end, 10);

	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && port >= 1 &&
	       port <= 65535;
}

static bus_status
busp_settings_url(busp_settings *settings, const char *url, bus_error *err)
{
	const char *host = NULL;

	if (strncmp(url, BUSP_SCHEME_TCP, strlen(BUSP_SCHEME_TCP)) == 0) {
		host = url + strlen(BUSP_SCHEME_TCP);
	} else if (strncmp(url, BUSP_SCHEME_TLS, strlen(BUSP_SCHEME_TLS)) == 0) {
		host = url + strlen(BUSP_SCHEME_TLS);
		settings->tls = true;
	}
	const char *port = host != NULL ? strrchr(host, ':') : NULL;

	if (port == NULL || port == host || !busp_port_valid(port + 1) ||
	    strpbrk(host, "/?#@ \t\r\n*") != NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "broker URL \"%.200s\": must be nng+tcp://host:port "
				     "or nng+tls+tcp://host:port",
				     url);
	}
	return BUS_OK;
}

static bus_status
busp_settings_properties(busp_settings *settings, const char *properties, bus_error *err)
{
	struct {
		const char *name;
		char **place;
	} const known[] = {
		{ "token-file=", &settings->token_file },
		{ "tls-ca-file=", &settings->tls_ca_file },
	};
	char *rest = NULL;

	if ((size_t)snprintf(settings->text, sizeof(settings->text), "%s", properties) >=
	    sizeof(settings->text)) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "broker properties: longer than %d bytes",
				     BUSP_PROPERTIES_MAX);
	}
	for (char *word = strtok_r(settings->text, " \t\n", &rest); word != NULL;
	     word = strtok_r(NULL, " \t\n", &rest)) {
		bool taken = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			size_t len = strlen(known[i].name);

			if (strncmp(word, known[i].name, len) == 0 && word[len] != '\0') {
				*known[i].place = word + len;
				taken = true;
			}
		}
		if (!taken) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "broker properties: \"%.200s\" is neither "
					     "token-file=PATH nor tls-ca-file=PATH",
					     word);
		}
	}
	if (settings->tls != (settings->tls_ca_file != NULL)) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "broker properties: tls-ca-file=PATH belongs to a URL "
				     "nng+tls+tcp://, which is never used without");
	}
	return BUS_OK;
}

/* ---- connections come and go, on nng's threads ---- */

/* Guards busp_link.client; taken before the client's own lock. A link that was given up may
 * outlive its client. */
static pthread_mutex_t busp_links_lock = PTHREAD_MUTEX_INITIALIZER;

/* The client of a link, locked, or NULL if it was given up; in any case with the links
 * locked. */
static busp_client *
busp_link_enter(busp_link *link)
{
	pthread_mutex_lock(&busp_links_lock);
	busp_client *client = link->client;

	if (client != NULL) {
		busp_client_lock(client);
		if (client->link != link) {
			/* one that is about to be given up */
			busp_client_unlock(client);
			client = NULL;
		}
	}
	return client;
}

static void
busp_link_exit(busp_client *client)
{
	if (client != NULL) {
		busp_client_unlock(client);
	}
	pthread_mutex_unlock(&busp_links_lock);
}

/* Before anything can be sent on it. */
static void
busp_on_connecting(nng_pipe pipe, nng_pipe_ev event, void *argument)
{
	busp_client *client = busp_link_enter(argument);

	(void)pipe;
	(void)event;
	if (client != NULL) {
		client->connections++;
	}
	busp_link_exit(client);
}

/* The end of a connection may be told before its beginning. */
static void
busp_on_connected(nng_pipe pipe, nng_pipe_ev event, void *argument)
{
	busp_client *client = busp_link_enter(argument);
	int id = nng_pipe_id(pipe);

	(void)event;
	if (client != NULL && id != client->pipe_lost) {
		client->pipe = id;
	}
	busp_link_exit(client);
}

static void
busp_on_lost(nng_pipe pipe, nng_pipe_ev event, void *argument)
{
	busp_client *client = busp_link_enter(argument);
	int id = nng_pipe_id(pipe);

	(void)event;
	if (client != NULL) {
		client->pipe_lost = id;
		if (client->pipe == id) {
			client->pipe = 0;
			client->lost_ms = busp_now_ms();
		}
	}
	busp_link_exit(client);
}

/* ---- the link ---- */

static int
busp_link_aim(busp_link *link, const busp_client *client)
{
	int result = nng_dialer_create(&link->dialer, link->socket,
				       client->url + strlen(BUSP_SCHEME_NNG));

	if (result == 0) {
		result = nng_dialer_set_bool(link->dialer, NNG_OPT_TCP_KEEPALIVE, true);
	}
	if (result == 0) {
		result = nng_dialer_set_ms(link->dialer, NNG_OPT_RECONNMINT,
					   BUSP_RECONNECT_MIN_MS);
	}
	if (result == 0) {
		result = nng_dialer_set_ms(link->dialer, NNG_OPT_RECONNMAXT,
					   BUSP_RECONNECT_MAX_MS);
	}
	if (result == 0 && client->tls) {
		result = nng_dialer_set_string(link->dialer, NNG_OPT_TLS_CA_FILE,
					       client->tls_ca_file);
	}
	return result;
}

static int
busp_link_set(busp_link *link, const busp_client *client)
{
	static const struct {
		nng_pipe_ev event;
		nng_pipe_cb callback;
	} events[] = {
		{ NNG_PIPE_EV_ADD_PRE, busp_on_connecting },
		{ NNG_PIPE_EV_ADD_POST, busp_on_connected },
		{ NNG_PIPE_EV_REM_POST, busp_on_lost },
	};
	int result = nng_socket_set_size(link->socket, NNG_OPT_RECVMAXSZ,
					 BUSP_FRAME_BYTES_MAX);

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && result == 0; i++) {
		result = nng_pipe_notify(link->socket, events[i].event,
					 events[i].callback, link);
	}
	return result == 0 ? busp_link_aim(link, client) : result;
}

bus_status
busp_link_open(busp_client *client, busp_link **ret_link, bus_error *err)
{
	busp_link *link = busp_adapter_alloc(1, sizeof(*link));
	int result = nng_req0_open(&link->socket);

	if (result == 0) {
		link->client = client;
		*ret_link = link;
		result = busp_link_set(link, client);
		if (result != 0) {
			*ret_link = NULL;
			busp_link_give_up(link);
		}
	} else {
		free(link);
	}
	if (result != 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, result, "%s%s%s: %s",
				     client->url, client->tls ? " with " : "",
				     client->tls ? client->tls_ca_file : "",
				     nng_strerror(result));
	}
	return BUS_OK;
}

void
busp_link_start(busp_link *link)
{
	/* it was set up: only memory can be missing, and then it is made anew */
	(void)nng_dialer_start(link->dialer, NNG_FLAG_NONBLOCK);
}

static void *
busp_link_end(void *argument)
{
	busp_link *link = argument;

	(void)nng_close(link->socket);
	free(link);
	return NULL;
}

void
busp_link_give_up(busp_link *link)
{
	pthread_t thread;

	pthread_mutex_lock(&busp_links_lock);
	link->client = NULL;
	pthread_mutex_unlock(&busp_links_lock);
	/* no thread to be had: rather leak than risk to hang */
	if (pthread_create(&thread, NULL, busp_link_end, link) == 0) {
		pthread_detach(thread);
	}
}

/* ---- the client ---- */

bus_status
busp_client_open(const bus_adapter_options *options, busp_client **ret_client,
		 bus_error *err)
{
	busp_settings settings = { 0 };
	const char *properties = options->properties != NULL ? options->properties : "";
	bus_status status = busp_settings_url(&settings, options->url, err);

	if (status == BUS_OK) {
		status = busp_settings_properties(&settings, properties, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	busp_client *client = busp_adapter_alloc(1, sizeof(*client));

	pthread_mutex_init(&client->lock, NULL);
	pthread_cond_init(&client->changed, NULL);
	client->url = busp_adapter_copy(options->url);
	client->tls = settings.tls;
	client->tls_ca_file =
		settings.tls ? busp_adapter_copy(settings.tls_ca_file) : NULL;
	client->lost_ms = busp_now_ms();
	client->patience_ms = BUSP_PATIENCE_MS_MIN;
	if (settings.token_file != NULL) {
		status = busp_token_load(settings.token_file, client->token, err);
	}
	busp_link *link = NULL;

	if (status == BUS_OK) {
		status = busp_link_open(client, &link, err);
	}
	if (status != BUS_OK) {
		busp_client_free(client);
		return status;
	}
	busp_client_lock(client);
	client->link = link;
	busp_client_unlock(client);
	busp_link_start(link);
	*ret_client = client;
	return BUS_OK;
}

void
busp_client_free(busp_client *client)
{
	if (client == NULL) {
		return;
	}
	busp_client_lock(client);
	client->closing = true;
	busp_client_unlock(client);
	/* A context that is in use when its socket is closed may outlive it in nng 1.5.2. */
	for (busp_call *call = client->calls; call != NULL; call = call->next) {
		nng_aio_stop(call->aio);
	}
	busp_calls_free(client->calls);
	if (client->link != NULL) {
		(void)nng_close(client->link->socket);
		free(client->link);
	}
	pthread_cond_destroy(&client->changed);
	pthread_mutex_destroy(&client->lock);
	free(client->tls_ca_file);
	free(client->url);
	free(client);
}
