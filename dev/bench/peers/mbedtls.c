/* DTLS 1.2 of mbedTLS in memory: CPU time of the server's side alone, for the tables of BENCHMARKS.md.
 *
 * Many handshakes go in step: all clients take their turn, then, under the clock, all servers. Prints `name value` lines.
 * Arguments: folder with ca.pem, leaf.pem, key.pem. Built and run by the bench `dtls`. */
#include <malloc.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 100, IDLE = 2000, DATA = 64, ROOM = 4096, DATAGRAMS = 16 };

static const unsigned char KEY[16] = "0123456789abcdef";
static const char IDENTITY[] = "urn:dev:bench:0123456789";

struct wire { unsigned char bytes[ROOM]; size_t len[DATAGRAMS]; int first, count; size_t used, read; };
struct timer { int dummy; };
struct link { struct wire *in, *out; };
struct pair { mbedtls_ssl_context client, server; struct wire up, down; struct link client_link, server_link; struct timer timers[2]; int has_server; };

static mbedtls_ctr_drbg_context drbg;
static mbedtls_entropy_context entropy;
static mbedtls_x509_crt authority, leaf;
static mbedtls_pk_context key;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void die(const char *what, int code) {
    fprintf(stderr, "mbedtls: %s: -0x%x\n", what, -code);
    exit(1);
}

static void check(const char *what, int code) {
    if (code != 0) die(what, code);
}

static int send_datagram(void *context, const unsigned char *bytes, size_t len) {
    struct wire *wire = ((struct link *)context)->out;
    if (wire->used + len > ROOM || wire->count == DATAGRAMS) die("no room on the wire", 0);
    memcpy(wire->bytes + wire->used, bytes, len);
    wire->used += len;
    wire->len[wire->count++] = len;
    return (int)len;
}

static int receive_datagram(void *context, unsigned char *bytes, size_t room) {
    struct wire *wire = ((struct link *)context)->in;
    if (wire->first == wire->count) {
        wire->first = wire->count = 0;
        wire->used = wire->read = 0;
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    size_t len = wire->len[wire->first++];
    if (len > room) die("a long datagram", 0);
    memcpy(bytes, wire->bytes + wire->read, len);
    wire->read += len;
    return (int)len;
}

/* Nothing is lost here, so no time passes. */
static void set_timer(void *context, uint32_t middle, uint32_t end) {
    (void)context; (void)middle; (void)end;
}

static int get_timer(void *context) {
    (void)context;
    return 0;
}

static void configure(mbedtls_ssl_config *config, int end, const int *suites, int with_keys) {
    mbedtls_ssl_config_init(config);
    check("defaults", mbedtls_ssl_config_defaults(config, end, MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT));
    mbedtls_ssl_conf_rng(config, mbedtls_ctr_drbg_random, &drbg);
    mbedtls_ssl_conf_ciphersuites(config, suites);
    if (with_keys) {
        mbedtls_ssl_conf_ca_chain(config, &authority, NULL);
        mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
        check("key", mbedtls_ssl_conf_own_cert(config, &leaf, &key));
    } else {
        check("psk", mbedtls_ssl_conf_psk(config, KEY, sizeof KEY, (const unsigned char *)IDENTITY, strlen(IDENTITY)));
    }
}

static void setup(mbedtls_ssl_context *ssl, mbedtls_ssl_config *config, struct link *link, struct timer *timer) {
    mbedtls_ssl_init(ssl);
    check("setup", mbedtls_ssl_setup(ssl, config));
    mbedtls_ssl_set_bio(ssl, link, send_datagram, receive_datagram, NULL);
    mbedtls_ssl_set_timer_cb(ssl, timer, set_timer, get_timer);
}

static void begin(struct pair *pair, mbedtls_ssl_config *client, const mbedtls_ssl_session *session) {
    memset(&pair->up, 0, sizeof pair->up);
    memset(&pair->down, 0, sizeof pair->down);
    pair->client_link = (struct link){&pair->down, &pair->up};
    pair->server_link = (struct link){&pair->up, &pair->down};
    pair->has_server = 0;
    setup(&pair->client, client, &pair->client_link, &pair->timers[0]);
    mbedtls_ssl_set_hostname(&pair->client, "bench");
    if (session) check("session", mbedtls_ssl_set_session(&pair->client, session));
}

static void server_turn(struct pair *pair, mbedtls_ssl_config *server) {
    if (!pair->has_server) {
        setup(&pair->server, server, &pair->server_link, &pair->timers[1]);
        check("address", mbedtls_ssl_set_client_transport_id(&pair->server, (const unsigned char *)"192.0.2.1", 9));
        pair->has_server = 1;
    }
    if (pair->server.state == MBEDTLS_SSL_HANDSHAKE_OVER) return;
    int code = mbedtls_ssl_handshake(&pair->server);
    if (code == MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED) {
        check("reset", mbedtls_ssl_session_reset(&pair->server));
        check("address", mbedtls_ssl_set_client_transport_id(&pair->server, (const unsigned char *)"192.0.2.1", 9));
    } else if (code != 0 && code != MBEDTLS_ERR_SSL_WANT_READ) {
        die("server", code);
    }
}

static double handshakes(struct pair *pairs, int count, mbedtls_ssl_config *server) {
    double spent = 0;
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < count; i++)
            if (pairs[i].client.state != MBEDTLS_SSL_HANDSHAKE_OVER) {
                int code = mbedtls_ssl_handshake(&pairs[i].client);
                if (code != 0 && code != MBEDTLS_ERR_SSL_WANT_READ) die("client", code);
            }
        double start = now();
        for (int i = 0; i < count; i++) server_turn(&pairs[i], server);
        spent += now() - start;
    }
    for (int i = 0; i < count; i++)
        if (pairs[i].client.state != MBEDTLS_SSL_HANDSHAKE_OVER || pairs[i].server.state != MBEDTLS_SSL_HANDSHAKE_OVER)
            die("a handshake did not end", 0);
    return spent / count;
}

static double records(struct pair *pairs, int count) {
    unsigned char data[DATA] = {0};
    double spent = 0;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < count; i++)
            if (mbedtls_ssl_write(&pairs[i].client, data, DATA) != DATA) die("write", 0);
        double start = now();
        for (int i = 0; i < count; i++) {
            if (mbedtls_ssl_read(&pairs[i].server, data, DATA) != DATA) die("read", 0);
            if (mbedtls_ssl_write(&pairs[i].server, data, DATA) != DATA) die("write", 0);
        }
        spent += now() - start;
        for (int i = 0; i < count; i++)
            if (mbedtls_ssl_read(&pairs[i].client, data, DATA) != DATA) die("read", 0);
        /* Empties the wires. */
        for (int i = 0; i < count; i++) {
            mbedtls_ssl_read(&pairs[i].server, data, DATA);
            mbedtls_ssl_read(&pairs[i].client, data, DATA);
        }
    }
    return spent / (50 * count);
}

static void finish(struct pair *pairs, int count) {
    for (int i = 0; i < count; i++) {
        mbedtls_ssl_free(&pairs[i].client);
        mbedtls_ssl_free(&pairs[i].server);
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, int suite, int with_keys, int with_tickets) {
    static struct pair pairs[BATCH];
    int suites[] = {suite, 0};
    mbedtls_ssl_config client, server;
    mbedtls_ssl_cookie_ctx cookies;
    mbedtls_ssl_cache_context cache;
    mbedtls_ssl_ticket_context tickets;
    double full[9], resumed[9], record[9];
    configure(&client, MBEDTLS_SSL_IS_CLIENT, suites, with_keys);
    configure(&server, MBEDTLS_SSL_IS_SERVER, suites, with_keys);
    mbedtls_ssl_cookie_init(&cookies);
    check("cookies", mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &drbg));
    mbedtls_ssl_conf_dtls_cookies(&server, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
    mbedtls_ssl_cache_init(&cache);
    mbedtls_ssl_ticket_init(&tickets);
    if (with_tickets) {
        check("tickets", mbedtls_ssl_ticket_setup(&tickets, mbedtls_ctr_drbg_random, &drbg, MBEDTLS_CIPHER_AES_128_GCM, 86400));
        mbedtls_ssl_conf_session_tickets_cb(&server, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &tickets);
    } else {
        mbedtls_ssl_conf_session_cache(&server, &cache, mbedtls_ssl_cache_get, mbedtls_ssl_cache_set);
        mbedtls_ssl_conf_session_tickets(&client, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    }
    for (int run = 0; run < 9; run++) {
        for (int i = 0; i < BATCH; i++) begin(&pairs[i], &client, NULL);
        full[run] = handshakes(pairs, BATCH, &server);
        record[run] = records(pairs, BATCH);
        mbedtls_ssl_session session;
        mbedtls_ssl_session_init(&session);
        check("session", mbedtls_ssl_get_session(&pairs[BATCH - 1].client, &session));
        finish(pairs, BATCH);
        for (int i = 0; i < BATCH; i++) begin(&pairs[i], &client, &session);
        resumed[run] = handshakes(pairs, BATCH, &server);
        finish(pairs, BATCH);
        mbedtls_ssl_session_free(&session);
    }
    qsort(full, 9, sizeof *full, compare);
    qsort(resumed, 9, sizeof *resumed, compare);
    qsort(record, 9, sizeof *record, compare);
    if (with_tickets) {
        printf("%s %.2f\n%s_by_ticket %.2f\n%s_record %.4f\n", name, full[4], name, resumed[4], name, record[4]);
    } else {
        printf("%s_by_id %.2f\n", name, resumed[4]);
    }
}

/* The heap that the servers of established sessions take. */
static void memory(void) {
    static struct pair pairs[IDLE];
    int suites[] = {MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8, 0};
    mbedtls_ssl_config client, server;
    mbedtls_ssl_cookie_ctx cookies;
    configure(&client, MBEDTLS_SSL_IS_CLIENT, suites, 0);
    configure(&server, MBEDTLS_SSL_IS_SERVER, suites, 0);
    mbedtls_ssl_cookie_init(&cookies);
    check("cookies", mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &drbg));
    mbedtls_ssl_conf_dtls_cookies(&server, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
    struct mallinfo2 info = mallinfo2();
    size_t before = info.uordblks + info.hblkhd;
    for (int i = 0; i < IDLE; i++) begin(&pairs[i], &client, NULL);
    handshakes(pairs, IDLE, &server);
    records(pairs, IDLE);
    for (int i = 0; i < IDLE; i++) mbedtls_ssl_free(&pairs[i].client);
    info = mallinfo2();
    printf("heap_per_session %ld\n", (long)(info.uordblks + info.hblkhd - before) / IDLE);
}

static void load(const char *folder) {
    char path[512];
    mbedtls_x509_crt_init(&authority);
    mbedtls_x509_crt_init(&leaf);
    mbedtls_pk_init(&key);
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    check(path, mbedtls_x509_crt_parse_file(&authority, path));
    snprintf(path, sizeof path, "%s/leaf.pem", folder);
    check(path, mbedtls_x509_crt_parse_file(&leaf, path));
    snprintf(path, sizeof path, "%s/key.pem", folder);
    check(path, mbedtls_pk_parse_keyfile(&key, path, NULL));
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    check("random", mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0));
    load(arguments[1]);
    printf("version %s\n", MBEDTLS_VERSION_STRING);
    measure("psk_ccm8", MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8, 0, 1);
    measure("psk_ccm8", MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8, 0, 0);
    measure("psk_gcm", MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256, 0, 1);
    measure("x509_ccm8", MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, 1, 1);
    memory();
    return 0;
}
