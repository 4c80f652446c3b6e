import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;

/** Keys and certificates from files in DER, and the flags of DTLS that device and server share. */
final class Keys {
    private Keys() {
    }

    static byte[] bytes(String file) throws Exception {
        return Files.readAllBytes(Path.of(file));
    }

    static byte[] hex(String text) {
        return HexFormat.of().parseHex(text);
    }

    static PublicKey publicKey(String file) throws Exception {
        return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(bytes(file)));
    }

    static PrivateKey privateKey(String file) throws Exception {
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(bytes(file)));
    }

    /** Certificates of several files, separated by commas. */
    static X509Certificate[] certificates(String files) throws Exception {
        List<X509Certificate> list = new ArrayList<>();
        for (String file : files.split(",")) {
            list.add((X509Certificate) CertificateFactory.getInstance("X.509")
                    .generateCertificate(new ByteArrayInputStream(bytes(file))));
        }
        return list.toArray(X509Certificate[]::new);
    }

    /** The value of the flag `name=value`; null without it. */
    static String flag(List<String> flags, String name) {
        return flags.stream().filter(flag -> flag.startsWith(name + "=")).findFirst()
                .map(flag -> flag.substring(name.length() + 1)).orElse(null);
    }

    /** `cid=N` (length of the connection ID that this side wants; absent: it knows none), `suite=NAME,…`, `limit=BYTES`. */
    static void configure(Configuration configuration, List<String> flags) {
        String cid = flag(flags, "cid");
        configuration.set(DtlsConfig.DTLS_CONNECTION_ID_LENGTH, cid == null ? -1 : Integer.valueOf(cid));
        configuration.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
        String suites = flag(flags, "suite");
        if (suites != null) {
            List<CipherSuite> chosen = new ArrayList<>();
            for (String name : suites.split(",")) {
                chosen.add(CipherSuite.valueOf(name));
            }
            configuration.set(DtlsConfig.DTLS_CIPHER_SUITES, chosen);
        }
        String limit = flag(flags, "limit");
        if (limit != null) {
            configuration.set(DtlsConfig.DTLS_RECORD_SIZE_LIMIT, Integer.valueOf(limit));
        }
    }
}
