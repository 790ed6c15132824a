/* GET /metrics over HTTP, for a Prometheus that scrapes instead of reading the text file. */
#ifndef MR_POOL_METRICS_SERVER_H
#define MR_POOL_METRICS_SERVER_H

#include "registry/pool/pool.h"

typedef struct mr_metrics_server mr_metrics_server;

/* `address` is "port" (this machine only) or "host:port" with a numeric host ("0.0.0.0:9464", "[::1]:9464"); port 0 takes a
 * free one. One thread, one connection at a time, a few seconds each. Stop before the pools are destroyed.
 * CONFIG when the address cannot be read, IO when it cannot be bound. */
mr_status mr_metrics_server_start(mr_pools *pools, const char *address, mr_metrics_server **out, mr_error *error);
void mr_metrics_server_stop(mr_metrics_server *server); /* NULL is fine */
unsigned mr_metrics_server_port(const mr_metrics_server *server);

#endif
