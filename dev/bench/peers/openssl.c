/* DTLS 1.2 of OpenSSL in memory: CPU time of the server's side alone, for the tables of BENCHMARKS.md.
 *
 * Many handshakes go in step: all clients take their turn, then, under the clock, all servers. Prints `name value` lines.
 * Arguments: folder with ca.pem, leaf.pem, key.pem. Built and run by the bench `dtls`. */
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 100, IDLE = 2000, DATA = 64 };

static const unsigned char KEY[16] = "0123456789abcdef";
static const unsigned char COOKIE_KEY[32] = "a secret of the cookies, 32 byte";

struct pair { SSL *client, *server; BIO *up, *down; };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void die(const char *what) {
    fprintf(stderr, "openssl: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static unsigned int psk_client(SSL *ssl, const char *hint, char *identity, unsigned int max, unsigned char *psk, unsigned int psk_max) {
    (void)ssl; (void)hint; (void)psk_max;
    snprintf(identity, max, "urn:dev:bench:0123456789");
    memcpy(psk, KEY, sizeof KEY);
    return sizeof KEY;
}

static unsigned int psk_server(SSL *ssl, const char *identity, unsigned char *psk, unsigned int max) {
    (void)ssl; (void)max;
    if (strcmp(identity, "urn:dev:bench:0123456789") != 0) return 0;
    memcpy(psk, KEY, sizeof KEY);
    return sizeof KEY;
}

static int cookie_make(SSL *ssl, unsigned char *cookie, unsigned int *len) {
    (void)ssl;
    return HMAC(EVP_sha256(), COOKIE_KEY, sizeof COOKIE_KEY, (const unsigned char *)"192.0.2.1:5684", 14, cookie, len) != NULL;
}

static int cookie_check(SSL *ssl, const unsigned char *cookie, unsigned int len) {
    unsigned char good[64];
    unsigned int good_len;
    return cookie_make(ssl, good, &good_len) && good_len == len && CRYPTO_memcmp(good, cookie, len) == 0;
}

static SSL_CTX *context(int is_server, const char *suite, const char *folder) {
    SSL_CTX *ctx = SSL_CTX_new(is_server ? DTLS_server_method() : DTLS_client_method());
    char path[512];
    if (!ctx) die("context");
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION);
    if (!SSL_CTX_set_cipher_list(ctx, suite)) die(suite);
    SSL_CTX_set1_groups_list(ctx, "P-256");
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"b", 1);
    if (strncmp(suite, "PSK", 3) == 0) {
        SSL_CTX_set_psk_client_callback(ctx, psk_client);
        SSL_CTX_set_psk_server_callback(ctx, psk_server);
    } else {
        snprintf(path, sizeof path, "%s/leaf.pem", folder);
        if (SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM) != 1) die(path);
        snprintf(path, sizeof path, "%s/key.pem", folder);
        if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1) die(path);
        snprintf(path, sizeof path, "%s/ca.pem", folder);
        if (SSL_CTX_load_verify_locations(ctx, path, NULL) != 1) die(path);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    if (is_server) {
        SSL_CTX_set_cookie_generate_cb(ctx, cookie_make);
        SSL_CTX_set_cookie_verify_cb(ctx, cookie_check);
        SSL_CTX_set_options(ctx, SSL_OP_COOKIE_EXCHANGE);
    }
    return ctx;
}

/* Nothing is lost here, so nothing is to be repeated, however busy the machine is. */
static unsigned int never(SSL *ssl, unsigned int micros) {
    (void)ssl; (void)micros;
    return 600000000;
}

static SSL *end(SSL_CTX *ctx, BIO *in, BIO *out) {
    SSL *ssl = SSL_new(ctx);
    BIO_up_ref(in);
    BIO_up_ref(out);
    SSL_set_bio(ssl, in, out);
    SSL_set_mtu(ssl, 1400);
    DTLS_set_timer_cb(ssl, never);
    return ssl;
}

static void begin(struct pair *pair, SSL_CTX *client, SSL_SESSION *session) {
    pair->up = BIO_new(BIO_s_mem());
    pair->down = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(pair->up, -1);
    BIO_set_mem_eof_return(pair->down, -1);
    pair->client = end(client, pair->down, pair->up);
    SSL_set_connect_state(pair->client);
    if (session) SSL_set_session(pair->client, session);
    pair->server = NULL;
}

/* All pairs through their handshakes; returns the servers' microseconds for one. */
static double handshakes(struct pair *pairs, int count, SSL_CTX *server) {
    double spent = 0;
    int done = 0;
    for (int round = 0; round < 10 && done < count; round++) {
        for (int i = 0; i < count; i++) SSL_do_handshake(pairs[i].client);
        double start = now();
        for (int i = 0; i < count; i++) {
            if (!pairs[i].server) {
                pairs[i].server = end(server, pairs[i].up, pairs[i].down);
                SSL_set_accept_state(pairs[i].server);
            }
            if (!SSL_is_init_finished(pairs[i].server)) SSL_do_handshake(pairs[i].server);
        }
        spent += now() - start;
        done = 0;
        for (int i = 0; i < count; i++) done += SSL_is_init_finished(pairs[i].client) && SSL_is_init_finished(pairs[i].server);
    }
    if (done < count) die("a handshake did not end");
    return spent / count;
}

static void finish(struct pair *pair) {
    /* Else its session counts as broken and is not resumed. */
    SSL_set_shutdown(pair->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(pair->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(pair->client);
    SSL_free(pair->server);
    BIO_free(pair->up);
    BIO_free(pair->down);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Prints handshake, record and resumption by ticket, or, without tickets, only resumption by session ID. */
static void measure(const char *name, const char *suite, const char *folder, int with_tickets) {
    SSL_CTX *client = context(0, suite, folder), *server = context(1, suite, folder);
    static struct pair pairs[BATCH];
    double full[9], resumed[9], record[9];
    if (!with_tickets) SSL_CTX_set_options(server, SSL_OP_NO_TICKET);
    for (int run = 0; run < 9; run++) {
        for (int i = 0; i < BATCH; i++) begin(&pairs[i], client, NULL);
        full[run] = handshakes(pairs, BATCH, server);
        unsigned char data[DATA] = {0};
        double spent = 0;
        for (int round = 0; round < 50; round++) {
            for (int i = 0; i < BATCH; i++) SSL_write(pairs[i].client, data, DATA);
            double start = now();
            for (int i = 0; i < BATCH; i++) {
                if (SSL_read(pairs[i].server, data, DATA) != DATA) die("no data");
                SSL_write(pairs[i].server, data, DATA);
            }
            spent += now() - start;
            for (int i = 0; i < BATCH; i++) SSL_read(pairs[i].client, data, DATA);
        }
        record[run] = spent / (50 * BATCH);
        SSL_SESSION *session = SSL_get1_session(pairs[0].client);
        for (int i = 0; i < BATCH; i++) finish(&pairs[i]);
        for (int i = 0; i < BATCH; i++) begin(&pairs[i], client, session);
        resumed[run] = handshakes(pairs, BATCH, server);
        for (int i = 0; i < BATCH; i++) {
            if (!SSL_session_reused(pairs[i].server)) die("not resumed");
            finish(&pairs[i]);
        }
        SSL_SESSION_free(session);
    }
    qsort(full, 9, sizeof *full, compare);
    qsort(resumed, 9, sizeof *resumed, compare);
    qsort(record, 9, sizeof *record, compare);
    if (with_tickets) {
        printf("%s %.2f\n%s_by_ticket %.2f\n%s_record %.4f\n", name, full[4], name, resumed[4], name, record[4]);
    } else {
        printf("%s_by_id %.2f\n", name, resumed[4]);
    }
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

/* The heap that the servers of established sessions take. */
static void memory(const char *folder) {
    SSL_CTX *client = context(0, "PSK-AES128-CCM8", folder), *server = context(1, "PSK-AES128-CCM8", folder);
    static struct pair pairs[IDLE];
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < IDLE; i++) begin(&pairs[i], client, NULL);
    handshakes(pairs, IDLE, server);
    for (int i = 0; i < IDLE; i++) {
        SSL_free(pairs[i].client);
        BIO_free(pairs[i].up);
        BIO_free(pairs[i].down);
    }
    printf("heap_per_session %ld\n", (long)(mallinfo2().uordblks - before) / IDLE);
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    printf("version %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
    measure("psk_ccm8", "PSK-AES128-CCM8", arguments[1], 1);
    measure("psk_ccm8", "PSK-AES128-CCM8", arguments[1], 0);
    measure("psk_gcm", "PSK-AES128-GCM-SHA256", arguments[1], 1);
    measure("x509_ccm8", "ECDHE-ECDSA-AES128-CCM8", arguments[1], 1);
    memory(arguments[1]);
    return 0;
}
