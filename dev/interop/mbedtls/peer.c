/* A DTLS 1.2 peer on Mbed TLS 2.28: peer client|server PORT [FLAG...], on loopback.
 *
 * Flags: psk=IDENTITY:HEX, cert=FILE with key=FILE and trust=FILE (PEM), name=SERVER_NAME, suite=NAME, mtu=BYTES,
 * fragment=512|1024|2048|4096 (max_fragment_length), tickets, no-ems. Standard input: send HEX, again (a client begins
 * another session and offers the one before for resumption), quit. Standard output: ready, established SUITE, data HEX,
 * failed REASON, closed REASON. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/timing.h>

static int count;
static char **flags;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_config config;
static mbedtls_ssl_context ssl;
static mbedtls_net_context listener, peer;
static mbedtls_timing_delay_context timer;
static int is_server, suites[2];
static const char *port;

static const char *flag(const char *name) {
    size_t length = strlen(name);
    for (int i = 0; i < count; i++) {
        if (strncmp(flags[i], name, length) == 0 && (flags[i][length] == '=' || flags[i][length] == 0))
            return flags[i][length] == '=' ? flags[i] + length + 1 : "";
    }
    return NULL;
}

static void say(const char *what, int code) {
    char reason[160];
    mbedtls_strerror(code, reason, sizeof reason);
    printf("%s %s\n", what, reason);
    fflush(stdout);
}

static void must(int code) {
    if (code != 0) {
        say("failed", code);
        exit(1);
    }
}

static size_t unhex(const char *text, unsigned char *out, size_t room) {
    size_t n = 0;
    unsigned byte;
    while (n < room && sscanf(text + 2 * n, "%2x", &byte) == 1)
        out[n++] = (unsigned char) byte;
    return n;
}

static void credentials(void) {
    static mbedtls_x509_crt own, trusted;
    static mbedtls_pk_context key;
    mbedtls_x509_crt_init(&own);
    mbedtls_x509_crt_init(&trusted);
    mbedtls_pk_init(&key);
    const char *psk = flag("psk");
    if (psk != NULL) {
        unsigned char secret[64];
        const char *colon = strchr(psk, ':');
        size_t length = unhex(colon + 1, secret, sizeof secret);
        must(mbedtls_ssl_conf_psk(&config, secret, length, (const unsigned char *) psk, (size_t) (colon - psk)));
    }
    if (flag("cert") != NULL) {
        must(mbedtls_x509_crt_parse_file(&own, flag("cert")));
        must(mbedtls_x509_crt_parse_file(&trusted, flag("trust")));
        must(mbedtls_pk_parse_keyfile(&key, flag("key"), NULL));
        must(mbedtls_ssl_conf_own_cert(&config, &own, &key));
        mbedtls_ssl_conf_ca_chain(&config, &trusted, NULL);
        mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
    }
}

static void configure(void) {
    static mbedtls_entropy_context entropy;
    static mbedtls_ssl_cookie_ctx cookies;
    static mbedtls_ssl_cache_context cache;
    static mbedtls_ssl_ticket_context tickets;
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    must(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0));
    mbedtls_ssl_config_init(&config);
    must(mbedtls_ssl_config_defaults(&config, is_server, MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT));
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &drbg);
    mbedtls_ssl_conf_min_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    credentials();
    if (flag("suite") != NULL) {
        suites[0] = mbedtls_ssl_get_ciphersuite_id(flag("suite"));
        mbedtls_ssl_conf_ciphersuites(&config, suites);
    }
    if (flag("fragment") != NULL) {
        int bytes = atoi(flag("fragment")), code = MBEDTLS_SSL_MAX_FRAG_LEN_512;
        for (; bytes > 512; bytes /= 2)
            code++;
        must(mbedtls_ssl_conf_max_frag_len(&config, (unsigned char) code));
    }
    if (flag("no-ems") != NULL)
        mbedtls_ssl_conf_extended_master_secret(&config, MBEDTLS_SSL_EXTENDED_MS_DISABLED);
    if (!is_server) {
        mbedtls_ssl_conf_session_tickets(&config, flag("tickets") != NULL);
        return;
    }
    mbedtls_ssl_cookie_init(&cookies);
    must(mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &drbg));
    mbedtls_ssl_conf_dtls_cookies(&config, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
    mbedtls_ssl_cache_init(&cache);
    mbedtls_ssl_conf_session_cache(&config, &cache, mbedtls_ssl_cache_get, mbedtls_ssl_cache_set);
    if (flag("tickets") != NULL) {
        mbedtls_ssl_ticket_init(&tickets);
        must(mbedtls_ssl_ticket_setup(&tickets, mbedtls_ctr_drbg_random, &drbg, MBEDTLS_CIPHER_AES_128_GCM, 3600));
        mbedtls_ssl_conf_session_tickets_cb(&config, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &tickets);
    }
}

static void prepare(void) {
    mbedtls_ssl_init(&ssl);
    must(mbedtls_ssl_setup(&ssl, &config));
    mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
    mbedtls_ssl_set_bio(&ssl, &peer, mbedtls_net_send, mbedtls_net_recv, mbedtls_net_recv_timeout);
    if (flag("mtu") != NULL)
        mbedtls_ssl_set_mtu(&ssl, (uint16_t) atoi(flag("mtu")));
    if (flag("name") != NULL && !is_server)
        must(mbedtls_ssl_set_hostname(&ssl, flag("name")));
}

/* One handshake; 0 when it succeeded. */
static int shake(void) {
    int code;
    mbedtls_ssl_conf_read_timeout(&config, 10000);
    do {
        code = mbedtls_ssl_handshake(&ssl);
    } while (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE);
    if (code == 0) {
        printf("established %s\n", mbedtls_ssl_get_ciphersuite(&ssl));
        fflush(stdout);
    } else if (code != MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED) {
        say("failed", code);
    }
    return code;
}

static void serve(void) {
    unsigned char address[16];
    size_t length;
    for (;;) {
        mbedtls_net_free(&peer);
        mbedtls_ssl_session_reset(&ssl);
        must(mbedtls_net_accept(&listener, &peer, address, sizeof address, &length));
        must(mbedtls_ssl_set_client_transport_id(&ssl, address, length));
        if (shake() == 0)
            return;
    }
}

static void dial(void) {
    must(mbedtls_net_connect(&peer, "127.0.0.1", port, MBEDTLS_NET_PROTO_UDP));
    shake();
}

static void again(void) {
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    must(mbedtls_ssl_get_session(&ssl, &session));
    mbedtls_ssl_close_notify(&ssl);
    mbedtls_net_free(&peer);
    mbedtls_ssl_free(&ssl);
    prepare();
    must(mbedtls_ssl_set_session(&ssl, &session));
    mbedtls_ssl_session_free(&session);
    dial();
}

/* Everything that lies in the socket; a server goes on with the next client when one leaves. */
static void receive(void) {
    unsigned char data[16384];
    mbedtls_ssl_conf_read_timeout(&config, 1);
    int n = mbedtls_ssl_read(&ssl, data, sizeof data);
    if (n > 0) {
        printf("data ");
        for (int i = 0; i < n; i++)
            printf("%02x", data[i]);
        printf("\n");
        fflush(stdout);
    } else if (n != MBEDTLS_ERR_SSL_TIMEOUT && n != MBEDTLS_ERR_SSL_WANT_READ) {
        say("closed", n);
        if (is_server)
            serve();
    }
}

static void obey(char *line) {
    unsigned char data[16384];
    if (strncmp(line, "send ", 5) == 0) {
        int n = mbedtls_ssl_write(&ssl, data, unhex(line + 5, data, sizeof data));
        if (n < 0)
            say("failed", n);
    } else if (strncmp(line, "again", 5) == 0) {
        again();
    } else if (strncmp(line, "quit", 4) == 0) {
        mbedtls_ssl_close_notify(&ssl);
        exit(0);
    }
}

int main(int argc, char **argv) {
    static char line[40000];
    is_server = strcmp(argv[1], "server") == 0;
    port = argv[2];
    count = argc - 3;
    flags = argv + 3;
    setvbuf(stdin, NULL, _IONBF, 0);
    mbedtls_net_init(&listener);
    mbedtls_net_init(&peer);
    configure();
    prepare();
    if (is_server) {
        must(mbedtls_net_bind(&listener, "127.0.0.1", port, MBEDTLS_NET_PROTO_UDP));
        printf("ready\n");
        fflush(stdout);
        serve();
    } else {
        dial();
    }
    for (;;) {
        struct pollfd wait[2] = {{0, POLLIN, 0}, {peer.fd, POLLIN, 0}};
        poll(wait, 2, -1);
        if (wait[1].revents & POLLIN)
            receive();
        if (wait[0].revents) {
            if (fgets(line, sizeof line, stdin) == NULL)
                return 0;
            obey(line);
        }
    }
}
