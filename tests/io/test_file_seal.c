/* Which bytes a seal covers, and that it notices changes in them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file_seal.h"
#include "io_fixture.h"

#define BYTES 300

/* Random marks against a map of bytes. */
static void marks(void **state)
{
    (void)state;
    unsigned random = 7;
    for (int round = 0; round < 200; round++) {
        mr_seal seal = { 0 };
        bool values[BYTES + 1] = { false };
        for (int i = 0; i < 40; i++) {
            random = random * 1103515245u + 12345u;
            uint64_t first = random >> 8 & 255, end = first + (random >> 20) % 40;
            bool mark = (random >> 16 & 3) != 0;
            mr_seal_mark(&seal, first, end, mark);
            for (uint64_t at = first; at < end; at++) values[at] = mark;
            size_t range = 0;
            for (uint64_t at = 0; at < BYTES; at++) {
                while (range < seal.count && seal.ranges[range].end <= at) range++;
                assert_int_equal(range < seal.count && seal.ranges[range].first <= at, values[at]);
            }
            for (size_t r = 0; r < seal.count; r++) {
                assert_true(seal.ranges[r].first < seal.ranges[r].end);
                if (r) assert_true(seal.ranges[r - 1].end <= seal.ranges[r].first);
            }
        }
        mr_seal_fini(&seal);
    }
}

static mr_status check(const char *data, size_t length, bool *sealed)
{
    fixture_write("sealed", data, length);
    int fd = open("sealed", O_RDONLY);
    mr_status status = mr_seal_check(fd, "sealed", sealed, NULL);
    close(fd);
    return status;
}

static void changes(void **state)
{
    (void)state;
    char data[BYTES];
    memset(data, 'x', sizeof data);
    fixture_write("plain", data, sizeof data);
    mr_seal seal = { 0 };
    mr_seal_mark(&seal, 100, 150, true);
    mr_seal_mark(&seal, 200, 300, true);
    int fd = open("plain", O_RDWR);
    assert_int_equal(mr_seal_write(&seal, fd, "plain", NULL), MR_OK);
    close(fd);
    mr_seal_fini(&seal);
    size_t length;
    char *whole = fixture_read("plain", &length);
    assert_int_equal(length, BYTES + 2 * 16 + 64);
    bool sealed;
    assert_int_equal(check(whole, length, &sealed), MR_OK);
    assert_true(sealed);
    for (size_t at = 0; at < length; at++) {
        bool value = (at >= 100 && at < 150) || (at >= 200 && at < 300), magic = at >= length - 16;
        whole[at] ^= 1;
        assert_int_equal(check(whole, length, &sealed), value || magic ? MR_OK : MR_BAD_INPUT);
        assert_int_equal(sealed, !magic);
        whole[at] ^= 1;
    }
    for (size_t cut = 0; cut < length; cut++) {
        assert_int_equal(check(whole, cut, &sealed), MR_OK);
        assert_false(sealed);
    }
    memset(whole + length - 64, 0xff, 8); /* count: no room for so many ranges */
    assert_int_equal(check(whole, length, &sealed), MR_BAD_INPUT);
    free(whole);
}

int main(void)
{
    fixture_enter("file-seal");
    const struct CMUnitTest tests[] = { cmocka_unit_test(marks), cmocka_unit_test(changes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
