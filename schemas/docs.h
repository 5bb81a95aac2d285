/*
 * docs.h - the pages made from the registry's table; private to this room
 */
#ifndef BUSP_SCHEMAS_DOCS_H
#define BUSP_SCHEMAS_DOCS_H

#include <jansson.h>

#include "core/buf.h"

/* asyncapi.yaml: AsyncAPI 3.0 with Kafka bindings. */
void busp_asyncapi_write(bus_buf *buf);
/* docs/events.md */
void busp_events_write(bus_buf *buf);

/* Block style; members in the order of the tree. */
void busp_yaml_write(const json_t *json, bus_buf *buf);

#endif
