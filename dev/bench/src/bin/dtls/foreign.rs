//! Libraries in C, each measured by a program of its own.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use crate::World;

/// What such a program printed.
pub(crate) struct Figures(HashMap<String, String>);

impl Figures {
    /// One of its figures; a dash if there is none.
    pub(crate) fn show(&self, key: &str) -> String {
        match self.0.get(key).map(|text| (text, text.parse::<f64>())) {
            Some((_, Ok(number))) if !key.ends_with("per_session") => crate::show(number),
            Some((text, _)) => text.clone(),
            None => "–".to_owned(),
        }
    }
}

/// OpenSSL's figures, then mbedTLS's.
pub(crate) fn all(world: &World) -> [Figures; 2] {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("ca.pem", &world.authority.certificate_pem),
        ("leaf.pem", &world.leaf.certificate_pem),
        ("key.pem", &world.leaf.key_pem),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let openssl = run("openssl", &["-lssl", "-lcrypto"], folder.path());
    let mbedtls = run("mbedtls", &["-lmbedtls", "-lmbedx509", "-lmbedcrypto"], folder.path());
    println!("OpenSSL {}, mbedTLS {}", openssl.show("version"), mbedtls.show("version"));
    [openssl, mbedtls]
}

fn run(name: &str, libraries: &[&str], folder: &Path) -> Figures {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name).with_extension("c");
    let program = folder.join(name);
    let built = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).args(libraries).status();
    if !built.is_ok_and(|status| status.success()) {
        println!("{name}: not built, so not measured");
        return Figures(HashMap::new());
    }
    let output = Command::new(&program).arg(folder).output().expect("it was built");
    if !output.status.success() {
        println!("{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pair = |line: &str| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Figures(text.lines().filter_map(pair).collect())
}
