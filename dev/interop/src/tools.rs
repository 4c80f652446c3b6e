//! The foreign programs: fetched, built and found. What is missing fails the suite that needs it.

use crate::process::output_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The aiocoap that the scripts were written for.
const AIOCOAP: &str = "aiocoap==0.4.17";

/// Held while something is fetched or built.
static ALONE: Mutex<()> = Mutex::new(());

/// Folders of this run.
pub(crate) struct Folders {
    /// `dev/interop`.
    pub(crate) source: PathBuf,
    /// Where fetched and built things are kept between runs.
    pub(crate) cache: PathBuf,
}

/// The class path on which Leshan's device and server run.
pub(crate) fn leshan_class_path(folders: &Folders) -> Result<String, String> {
    class_path(folders, "leshan")
}

/// The class path on which Leshan's bootstrap server runs, of an older release.
pub(crate) fn leshan_bootstrap_class_path(folders: &Folders) -> Result<String, String> {
    class_path(folders, "leshan-bootstrap")
}

fn class_path(folders: &Folders, name: &str) -> Result<String, String> {
    // Suites run beside each other; one of them fetches and compiles.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let source = folders.source.join(name);
    let cache = folders.cache.join(name);
    let (jars, classes) = (cache.join("jars"), cache.join("classes"));
    if newest(&source.join("pom.xml"))? > newest(&jars.join("fetched")).unwrap_or(SystemTime::UNIX_EPOCH) {
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f"]).arg(source.join("pom.xml")).arg("dependency:copy-dependencies");
        output_of(maven.arg(format!("-DoutputDirectory={}", jars.display())))?;
        mark(&jars.join("fetched"))?;
    }
    let programs: Vec<PathBuf> = sources(&source)?;
    let newest_program =
        programs.iter().map(|file| newest(file)).collect::<Result<Vec<_>, _>>()?.into_iter().max();
    if newest_program > newest(&classes.join("compiled")).ok() {
        std::fs::create_dir_all(&classes).map_err(|error| error.to_string())?;
        let mut compiler = Command::new("javac");
        compiler.arg("-cp").arg(jars.join("*")).arg("-d").arg(&classes).args(&programs);
        output_of(&mut compiler)?;
        mark(&classes.join("compiled"))?;
    }
    Ok(format!("{}:{}/*", classes.display(), jars.display()))
}

/// The program of `pion/`: pion/dtls, built by Go.
pub(crate) fn pion_peer(folders: &Folders) -> Result<PathBuf, String> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let program = folders.cache.join("pion-peer");
    let mut go = Command::new("go");
    go.current_dir(folders.source.join("pion")).args(["build", "-o"]).arg(&program).arg(".");
    output_of(&mut go).map(|_| program)
}

/// The program of `mbedtls/`: Mbed TLS as Debian has it (`libmbedtls-dev`).
pub(crate) fn mbedtls_peer(folders: &Folders) -> Result<PathBuf, String> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let program = folders.cache.join("mbedtls-peer");
    let source = folders.source.join("mbedtls/peer.c");
    if newest(&source)? > newest(&program).unwrap_or(SystemTime::UNIX_EPOCH) {
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(&source);
        output_of(compiler.args(["-lmbedtls", "-lmbedx509", "-lmbedcrypto"]))?;
    }
    Ok(program)
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "java"))
        .collect())
}

fn newest(file: &Path) -> Result<SystemTime, String> {
    std::fs::metadata(file)
        .and_then(|data| data.modified())
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn mark(file: &Path) -> Result<(), String> {
    std::fs::write(file, "").map_err(|error| format!("{}: {error}", file.display()))
}

/// A Python that has aiocoap: the machine's own, or a virtual environment made for it.
pub(crate) fn python_with_aiocoap(folders: &Folders) -> Result<PathBuf, String> {
    let has_it =
        |python: &Path| output_of(Command::new(python).args(["-c", "import aiocoap.resource"])).is_ok();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let own = PathBuf::from("python3");
    if has_it(&own) {
        return Ok(own);
    }
    let environment = folders.cache.join("python");
    let python = environment.join("bin/python3");
    if !has_it(&python) {
        output_of(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        output_of(Command::new(&python).args(["-m", "pip", "install", "--quiet", AIOCOAP]))?;
    }
    Ok(python)
}

/// libcoap's client, under the name that this system gives it.
pub(crate) fn coap_client() -> Result<&'static str, String> {
    ["coap-client-notls", "coap-client", "coap-client-openssl", "coap-client-gnutls"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
        .ok_or_else(|| "libcoap's coap-client is not installed (Debian: libcoap3-bin)".to_owned())
}
