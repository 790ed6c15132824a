/* Files from a Hugging Face hub with libcurl: resumed, retried, bounded. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/str.h"
#include "registry/fetch_source.h"

#define CONNECT_SECONDS 10L
#define STALL_BYTES_PER_SECOND 1024L
#define MAX_REDIRECTS 10L
#define MAX_DELAY_NS (30 * MR_CLOCK_SECOND)
#define UNREACHABLE_ATTEMPTS 2              /* no address or no answer: one more try, then the next source */
#define PROGRESS_BYTES (UINT64_C(1) << 20)  /* an attempt that brought so much starts the count anew */
#define REPORT_INTERVAL_NS (100 * MR_CLOCK_MILLISECOND)

/* One request. */
typedef struct transfer {
    const mr_fetch_job *job;
    const mr_catalogue_file *file;
    CURL *curl;
    int fd;
    uint64_t have;     /* bytes in the part file */
    bool started;      /* body bytes came */
    int write_errno;
    bool too_large;
    int64_t next_report_ns;
} transfer;

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static size_t write_body(char *data, size_t size, size_t count, void *context)
{
    transfer *t = context;
    size_t length = size * count, done = 0;
    t->started = true;
    if (length > mr_fetch_limit(t->file) - t->have) {
        t->too_large = true;
        return 0;
    }
    while (done < length) {
        ssize_t written = write(t->fd, data + done, length - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            t->write_errno = errno;
            return 0;
        }
        done += (size_t)written;
    }
    t->have += length;
    int64_t now = mr_clock_now(mr_clock_monotonic());
    if (now >= t->next_report_ns) {
        t->next_report_ns = now + REPORT_INTERVAL_NS;
        mr_fetch_report(t->job, t->file->path, t->have, t->file->bytes);
    }
    return length;
}

static char *url_of(const mr_fetch_job *job, const mr_catalogue_file *file)
{
    size_t length = strlen(job->options.endpoint);
    while (length > 0 && job->options.endpoint[length - 1] == '/') length--;
    /* Repository, revision and path are plain (catalogue.h) save for "+", which an URL's path may hold as it is. */
    return mr_strf("%.*s/%s/resolve/%s/%s", (int)length, job->options.endpoint, job->entry->hub.repository, job->entry->hub.revision, file->path);
}

static void set_options(transfer *t, const char *url, char *reason)
{
    CURL *curl = t->curl;
    /* A secure endpoint may not send us to an insecure one. */
    const char *protocols = strncmp(url, "https:", 6) == 0 ? "https" : "http,https";
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_PER_SECOND);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)t->job->options.stall_seconds);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "millrace");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    if (t->have > 0) curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->have);
}

/* How the attempt ended, and whether another one makes sense. */
typedef enum verdict { VERDICT_DONE, VERDICT_FATAL, VERDICT_RETRY, VERDICT_UNREACHABLE } verdict;

static verdict judge_http(long code, const char *url, mr_error *error)
{
    if (code == 404 || code == 410) {
        mr_error_set(error, MR_NOT_FOUND, "%s: the hub has no such file (HTTP %ld)", url, code);
        return VERDICT_FATAL;
    }
    if (code == 401 || code == 403) {
        mr_error_set(error, MR_NETWORK, "%s: access refused (HTTP %ld); the model may need its licence accepted, or a proxy blocks the hub", url, code);
        return VERDICT_FATAL;
    }
    mr_error_set(error, MR_NETWORK, "%s: HTTP %ld", url, code);
    return code == 408 || code == 429 || code >= 500 ? VERDICT_RETRY : VERDICT_FATAL;
}

/* The server cannot resume (no ranges), or has nothing behind our end (416): the part file is of no use. */
static verdict begin_again(const transfer *t, const char *url, mr_error *error)
{
    if (ftruncate(t->fd, 0) != 0) {
        mr_error_errno(error, errno, "cannot empty the part of %s", t->file->path);
        return VERDICT_FATAL;
    }
    mr_error_set(error, MR_NETWORK, "%s: the server cannot resume a part of %llu bytes", url, (unsigned long long)t->have);
    return VERDICT_RETRY;
}

static verdict judge(const transfer *t, CURLcode result, const char *url, const char *reason, mr_error *error)
{
    long code = 0;
    const char *text = reason[0] ? reason : curl_easy_strerror(result);
    if (t->write_errno) {
        mr_error_errno(error, t->write_errno, "cannot write %s", t->file->path);
        return VERDICT_FATAL;
    }
    if (t->too_large) {
        mr_error_set(error, MR_MODEL_CORRUPT, "%s: larger than the %llu bytes it may have", url, (unsigned long long)mr_fetch_limit(t->file));
        return VERDICT_FATAL;
    }
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    switch (result) {
    case CURLE_OK: return code == 416 ? begin_again(t, url, error) : VERDICT_DONE;
    case CURLE_RANGE_ERROR: return begin_again(t, url, error);
    case CURLE_HTTP_RETURNED_ERROR: return judge_http(code, url, error);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        mr_error_set(error, MR_NETWORK, "cannot reach %s (%s): check the network, or set HF_ENDPOINT to a mirror", t->job->options.endpoint, text);
        return VERDICT_UNREACHABLE;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_TOO_MANY_REDIRECTS:
        mr_error_set(error, MR_NETWORK, "%s: %s", url, text);
        return VERDICT_FATAL;
    default:
        mr_error_set(error, MR_NETWORK, "%s: %s", url, text);
        return result == CURLE_OPERATION_TIMEDOUT && !t->started ? VERDICT_UNREACHABLE : VERDICT_RETRY;
    }
}

/* One request for the rest of the part file; `*have` is its length before and after. */
static verdict attempt(const mr_fetch_job *job, const mr_catalogue_file *file, const char *part, uint64_t *have, mr_error *error)
{
    char reason[CURL_ERROR_SIZE] = "";
    struct stat info = { 0 };
    verdict outcome = VERDICT_FATAL;
    transfer t = { .job = job, .file = file, .curl = curl_easy_init() };
    char *url = url_of(job, file);
    t.fd = open(part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (!t.curl || !url) {
        mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory fetching %s", file->path);
    } else if (t.fd < 0 || fstat(t.fd, &info) != 0) {
        mr_error_errno(error, errno, "cannot create %s", part);
    } else if ((uint64_t)info.st_size > mr_fetch_limit(file) && ftruncate(t.fd, 0) != 0) {
        mr_error_errno(error, errno, "cannot empty %s", part);
    } else {
        t.have = (uint64_t)info.st_size > mr_fetch_limit(file) ? 0 : (uint64_t)info.st_size;
        set_options(&t, url, reason);
        outcome = file->bytes && t.have == file->bytes ? VERDICT_DONE : judge(&t, curl_easy_perform(t.curl), url, reason, error);
        *have = t.have;
    }
    if (t.fd >= 0) close(t.fd);
    curl_easy_cleanup(t.curl);
    free(url);
    return outcome;
}

/* Attempts until the part file is complete. MODEL_CORRUPT and others from the last one. */
static mr_status load_part(const mr_fetch_job *job, const mr_catalogue_file *file, const char *part, mr_error *error)
{
    mr_error last = { 0 };
    int64_t delay = job->options.retry_delay_ns;
    uint64_t mark = 0;
    for (unsigned tried = 0;;) {
        uint64_t have = 0;
        verdict outcome = attempt(job, file, part, &have, &last);
        if (outcome == VERDICT_DONE) return MR_OK;
        unsigned allowed = outcome == VERDICT_UNREACHABLE && job->options.attempts > UNREACHABLE_ATTEMPTS ? UNREACHABLE_ATTEMPTS : job->options.attempts;
        if (have >= mark + PROGRESS_BYTES) {
            mark = have;
            tried = 0;
            delay = job->options.retry_delay_ns;
        }
        if (outcome == VERDICT_FATAL || ++tried >= allowed) return mr_error_set(error, last.status, "%s", last.text);
        mr_log(MR_LOG_INFO, "fetch", "%s; trying again", last.text);
        int64_t pause = delay;
        mr_fetch_pause(delay, &pause);
        delay = 2 * delay < MAX_DELAY_NS ? 2 * delay : MAX_DELAY_NS;
    }
}

/* A part file of an earlier run may belong to other contents: when the result is wrong, once more from nothing. */
static mr_status load_file(mr_fetch_job *job, size_t index, mr_error *error)
{
    const mr_catalogue_file *file = &job->entry->files[index];
    char *part;
    MR_TRY(mr_fetch_staged_path(job, file, ".part", &part, error));
    bool resumed = mr_path_exists(part);
    mr_status status = load_part(job, file, part, error);
    if (status == MR_OK) status = mr_fetch_accept(job, index, part, error);
    if (status == MR_MODEL_CORRUPT && resumed) {
        unlink(part);
        status = load_part(job, file, part, error);
        if (status == MR_OK) status = mr_fetch_accept(job, index, part, error);
    }
    if (status == MR_MODEL_CORRUPT) unlink(part);
    free(part);
    return status;
}

mr_status mr_fetch_from_hub(mr_fetch_job *job, mr_error *error)
{
    pthread_once(&curl_once, start_curl);
    for (size_t i = 0; i < job->entry->file_count; i++)
        if (job->wanted[i]) MR_TRY(load_file(job, i, error));
    return MR_OK;
}
