/*
 * config_private.h - the names of an option (private to core)
 */
#ifndef BUS_CORE_CONFIG_PRIVATE_H
#define BUS_CORE_CONFIG_PRIVATE_H

#include "core/config.h"

/* Longer than any name in BUS_CONFIG_LIST with its prefix and "_FILE". */
#define BUSP_CONFIG_NAME_MAX 64

/* "worker-batch-events" */
void busp_config_flag_name(bus_config_key key, char ret_name[BUSP_CONFIG_NAME_MAX]);
/* "BUSLINE_WORKER_BATCH_EVENTS" */
void busp_config_env_name(bus_config_key key, char ret_name[BUSP_CONFIG_NAME_MAX]);

#endif
