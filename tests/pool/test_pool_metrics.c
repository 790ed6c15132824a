/* docs/pool-rules.md, section 7: seen from outside. Also the settings. */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "pool_fixture.h"
#include "registry/pool/metrics_server.h"

#define TEXT MR_CAPABILITY_TEXT_EMBEDDING

static bool has_line(const char *text, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = text; (at = strstr(at, line)); at += length)
        if ((at == text || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\0')) return true;
    return false;
}

static void metrics_tell_what_happened(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "org/na\"me\\", 2);
    fake->run_status = MR_OUT_OF_MEMORY;
    fake->run_failures = 2;
    for (int i = 0; i < 7; i++) call_once(model, TEXT, NULL);
    await_workers(model, MR_WORKER_IDLE, 2);
    mr_buf text = { 0 };
    assert_int_equal(mr_pools_format_metrics(f.pools, &text, NULL), MR_OK);
#define MODEL "model=\"org/na\\\"me\\\\\",capability=\"text_embedding\""
    assert_true(has_line(text.data, "# TYPE millrace_requests_total counter"));
    assert_true(has_line(text.data, "millrace_requests_total{" MODEL "} 7"));
    assert_true(has_line(text.data, "millrace_finished_total{" MODEL ",status=\"OK\"} 5"));
    assert_true(has_line(text.data, "millrace_finished_total{" MODEL ",status=\"OUT_OF_MEMORY\"} 2"));
    assert_true(has_line(text.data, "millrace_workers{" MODEL ",state=\"idle\"} 2"));
    assert_true(has_line(text.data, "millrace_workers_spawned_total{" MODEL "} 2"));
    assert_true(has_line(text.data, "millrace_workers_evicted_total{" MODEL "} 0"));
    assert_true(has_line(text.data, "millrace_queue_depth{" MODEL "} 0"));
    assert_true(has_line(text.data, "millrace_breaker_state{" MODEL "} 0"));
    assert_true(has_line(text.data, "millrace_rejected_by_breaker_total{" MODEL "} 0"));
    assert_true(has_line(text.data, "millrace_timeouts_total{" MODEL "} 0"));
    assert_true(has_line(text.data, "# TYPE millrace_latency_seconds histogram"));
    assert_true(has_line(text.data, "millrace_latency_seconds_bucket{" MODEL ",le=\"+Inf\"} 7"));
    assert_true(has_line(text.data, "millrace_latency_seconds_count{" MODEL "} 7"));
    assert_true(has_line(text.data, "millrace_memory_acquired_bytes{use=\"weights\"} 1000"));
    assert_true(has_line(text.data, "millrace_memory_acquired_bytes{use=\"scratch\"} 200"));
    assert_true(has_line(text.data, "millrace_memory_limit_bytes 1048576"));
    assert_true(has_line(text.data, "millrace_memory_pressure 0"));
    mr_buf_fini(&text);
    fixture_end(&f);
}

/* The grammar a scraper relies on: HELP and TYPE once before the samples of a family, every sample of a declared family, a
 * value at its end, buckets that never fall. */
static void the_text_keeps_to_the_format(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        mr_pool_model *model = fixture_add(&f, fake_new(), (mr_capability)i, mr_capability_text((mr_capability)i), 1);
        assert_int_equal(call_once(model, (mr_capability)i, NULL), MR_OK);
    }
    mr_buf text = { 0 };
    assert_int_equal(mr_pools_format_metrics(f.pools, &text, NULL), MR_OK);
    char family[128] = "", seen[4096] = "";
    unsigned long long last_bucket = 0;
    size_t samples = 0;
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        char name[128], rest[64];
        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
            char marked[140];
            snprintf(marked, sizeof marked, " %s ", family);
            assert_null(strstr(seen, marked));
            strncat(seen, marked, sizeof seen - strlen(seen) - 1);
            continue;
        }
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(sscanf(line, "# TYPE %127s %63s", name, rest), 2);
            assert_string_equal(name, family);
            continue;
        }
        assert_int_equal(strncmp(line, family, strlen(family)), 0);
        const char *value = strrchr(line, ' ');
        assert_non_null(value);
        char *end;
        (void)strtod(value + 1, &end);
        assert_int_equal(*end, '\0');
        if (strstr(line, "_bucket{")) {
            unsigned long long count = strtoull(value + 1, NULL, 10);
            if (!strstr(line, "le=\"0.001\"")) assert_true(count >= last_bucket);
            last_bucket = count;
        }
        samples++;
    }
    assert_true(samples > 100);
    mr_buf_fini(&text);
    fixture_end(&f);
}

static void the_text_file_is_replaced_each_interval(void **state)
{
    (void)state;
    char directory[512], path[560];
    snprintf(directory, sizeof directory, "%s/metrics-%ld", MR_TEST_TMP, (long)getpid());
    snprintf(path, sizeof path, "%s/millrace.prom", directory);
    assert_int_equal(mr_path_make_directories(directory, NULL), MR_OK);
    fixture f = fixture_default();
    f.settings.metrics_path = path;
    f.settings.metrics_interval = 15 * SECOND;
    fixture_start(&f);
    mr_pool_model *model = fixture_add(&f, fake_new(), TEXT, "a/b", 1);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
        if (i < 3) fixture_advance(&f, 15 * SECOND, 0);
        else (void)mr_pools_shutdown(f.pools, NULL); /* a short job has no interval: the end writes too */
        char *text, expected[128];
        size_t length;
        snprintf(expected, sizeof expected, "millrace_requests_total{model=\"a/b\",capability=\"text_embedding\"} %d", i);
        assert_int_equal(mr_file_read(path, 1 << 20, &text, &length, NULL), MR_OK);
        assert_true(has_line(text, expected));
        free(text);
    }
    DIR *listing = opendir(directory);
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(listing));) files += entry->d_name[0] != '.';
    closedir(listing);
    assert_int_equal(files, 1); /* no temporary left behind */
    mr_error error = { 0 };
    assert_int_not_equal(mr_pools_write_metrics(f.pools, "/nonexistent/folder/x.prom", &error), MR_OK);
    assert_non_null(strstr(error.text, "/nonexistent/folder/x.prom"));
    unlink(path);
    rmdir(directory);
    fixture_end(&f);
}

/* Sends `request` (half closes after it) and reads what comes back. */
static size_t ask(unsigned port, const char *request, char *answer, size_t size)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
    for (size_t sent = 0; sent < strlen(request);) {
        ssize_t step = send(peer, request + sent, strlen(request) - sent, MSG_NOSIGNAL);
        if (step <= 0) break; /* cut off: what came back tells */
        sent += (size_t)step;
    }
    shutdown(peer, SHUT_WR);
    size_t length = 0;
    for (ssize_t got; length + 1 < size && (got = recv(peer, answer + length, size - 1 - length, 0)) > 0;) length += (size_t)got;
    answer[length] = '\0';
    close(peer);
    return length;
}

static void metrics_over_http(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    mr_pool_model *model = fixture_add(&f, fake_new(), TEXT, "a/b", 1);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    mr_metrics_server *server;
    mr_error error = { 0 };
    assert_int_equal(mr_metrics_server_start(f.pools, "0", &server, &error), MR_OK);
    unsigned port = mr_metrics_server_port(server);
    static char answer[1 << 16], flood[20000];
    for (int i = 0; i < 3; i++) {
        ask(port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer);
        assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(answer, "version=0.0.4"));
        assert_true(has_line(answer, "millrace_requests_total{model=\"a/b\",capability=\"text_embedding\"} 1"));
    }
    ask(port, "GET /secret HTTP/1.1\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, "404"));
    assert_int_equal(ask(port, "GET /metrics HTTP/1.1\r\n", answer, sizeof answer), 0); /* a head that never ends */
    memset(flood, 'x', sizeof flood - 1);
    assert_int_equal(ask(port, flood, answer, sizeof answer), 0);
    assert_true(ask(port, "GET /metrics HTTP/1.0\r\n\r\n", answer, sizeof answer) > 0); /* none of it did harm */
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", port);
    mr_metrics_server *second;
    assert_int_equal(mr_metrics_server_start(f.pools, taken, &second, &error), MR_IO);
    static const char *const bad[] = { "", "x", "host.name:80", "1.2.3.4:", "1.2.3.4:70000", ":80" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(mr_metrics_server_start(f.pools, bad[i], &second, &error), MR_CONFIG);
    mr_metrics_server_stop(server);
    fixture_end(&f);
}

static void milestones_are_logged_at_info_and_requests_are_not(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    mr_pool_model *model = fixture_add(&f, fake_new(), TEXT, "org/model", 1);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    assert_true(log_has("info pool org/model: worker 1 spawned"));
    assert_true(log_has("info pool org/model: worker 1 ready in 0.000 s"));
    log_start();
    for (int i = 0; i < 100; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    mr_shutdown_report report;
    mr_pools_shutdown(f.pools, &report);
    assert_true(log_has("info pool org/model: worker 1 evicted: shutdown"));
    assert_true(log_has("info pool graceful shutdown complete"));
    assert_int_equal(log_lines(), 2); /* a hundred requests, not a line */
    fixture_end(&f);
}

static void every_number_is_a_setting(void **state)
{
    (void)state;
    mr_pool_settings settings = mr_pool_settings_default();
    assert_int_equal(settings.worker_ready_timeout, 30 * SECOND);
    assert_int_equal(settings.request_timeout, 30 * SECOND);
    assert_int_equal(settings.idle_before_evict, 60 * SECOND);
    assert_int_equal(settings.maintenance_interval, 60 * SECOND);
    assert_int_equal(settings.pressure_interval, 5 * SECOND);
    assert_int_equal(settings.ping_interval, 10 * SECOND);
    assert_int_equal(settings.ping_timeout, 5 * SECOND);
    assert_int_equal(settings.breaker_open, 60 * SECOND);
    assert_int_equal(settings.breaker_failures, 5);
    assert_int_equal(settings.breaker_probes, 3);
    assert_int_equal(settings.shutdown_timeout, 5 * SECOND);
    assert_int_equal(settings.batch_queue_capacity, 50);
    mr_error error = { 0 };
    assert_int_equal(mr_pool_settings_set(&settings, "shutdown_timeout", "250ms", &error), MR_OK);
    assert_int_equal(settings.shutdown_timeout, SECOND / 4);
    assert_int_equal(mr_pool_settings_set(&settings, "idle_before_evict", "2min", &error), MR_OK);
    assert_int_equal(settings.idle_before_evict, 120 * SECOND);
    assert_int_equal(mr_pool_settings_set(&settings, "request_timeout", "none", &error), MR_OK);
    assert_int_equal(settings.request_timeout, MR_CLOCK_FOREVER);
    assert_int_equal(mr_pool_settings_set(&settings, "breaker_failures", "7", &error), MR_OK);
    assert_int_equal(settings.breaker_failures, 7);
    char text[MR_POOL_SETTING_TEXT_MAX];
    assert_string_equal(mr_pool_settings_text(&settings, "shutdown_timeout", text), "250ms");
    assert_string_equal(mr_pool_settings_text(&settings, "idle_before_evict", text), "2min");
    assert_string_equal(mr_pool_settings_text(&settings, "request_timeout", text), "none");
    assert_string_equal(mr_pool_settings_text(&settings, "breaker_failures", text), "7");
    static const char *const bad[] = { "", "5", "-1s", "5 s", "99999999999999999999s", "9223372036854775807h" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mr_pool_settings_set(&settings, "request_timeout", bad[i], &error), MR_CONFIG);
    static const char *const no_counts[] = { "5x", "-1", "", "5000000000", "0", "auto" };
    for (size_t i = 0; i < sizeof no_counts / sizeof *no_counts; i++)
        assert_int_equal(mr_pool_settings_set(&settings, "breaker_failures", no_counts[i], &error), MR_CONFIG);
    assert_int_equal(mr_pool_settings_set(&settings, "ping_interval", "0s", &error), MR_CONFIG);
    assert_string_equal(error.text, "pool.ping_interval: at least 1ms");
    assert_int_equal(mr_pool_settings_set(&settings, "max_workers_per_model", "auto", &error), MR_OK);
    assert_int_equal(settings.breaker_failures, 7);
    assert_int_equal(mr_pool_settings_check(&settings, &error), MR_OK);
    settings.ping_interval = 0;
    assert_int_equal(mr_pool_settings_check(&settings, &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "ping_interval"));
    settings = mr_pool_settings_default();
    settings.cold_start_workers = 0;
    assert_int_equal(mr_pool_settings_check(&settings, &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "cold_start_workers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_tell_what_happened),
        cmocka_unit_test(the_text_keeps_to_the_format),
        cmocka_unit_test(the_text_file_is_replaced_each_interval),
        cmocka_unit_test(metrics_over_http),
        cmocka_unit_test(milestones_are_logged_at_info_and_requests_are_not),
        cmocka_unit_test(every_number_is_a_setting),
    };
    return RUN_TESTS(tests);
}
