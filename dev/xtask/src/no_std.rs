//! `cargo xtask no-std`: the device side on a Cortex-M4, and what it costs there.
//!
//! Checks the protocol rooms and the client for `thumbv7em-none-eabi`, without `alloc`, then with it and with DTLS and all its
//! cryptography, then builds the firmware in `dev/mcu`, and prints the flash and static RAM of that firmware, split by crate.
//! Needs Debian's packages `rustc-web rust-web-src cargo-web libstd-rust-web-dev` (the ordinary toolchain has no core library for
//! that processor) and `rust-lld` of the ordinary toolchain. It installs nothing.

#![allow(clippy::print_stdout, reason = "the sizes are what the command is for")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

const TARGET: &str = "thumbv7em-none-eabi";
const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const CORE_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/core/src/lib.rs";
const MISSING: &str = "the toolchain for microcontrollers is not here; on Debian:
  apt-get install --no-install-recommends rustc-web rust-web-src cargo-web libstd-rust-web-dev";
const ROOMS: [&str; 4] = ["lightship-platform", "lightship-coap", "lightship-lwm2m", "lightship-client"];
/// What a device may have where there is an allocator: values of its own, and all of security.
const SECURED: &str = "lightship-client/bootstrap,lightship-client/x509,lightship-platform/ecc,\
    lightship-platform/gcm,lightship-platform/cbc,lightship-platform/wide-digests";
/// Crates of the firmware as they stand in symbol names.
const OWNERS: [&str; 14] = [
    "lightship_mcu",
    "lightship_client",
    "lightship_lwm2m",
    "lightship_coap",
    "lightship_platform",
    "lightship_dtls",
    "minicbor",
    "aes",
    "ccm",
    "cbc",
    "sha2",
    "alloc",
    "compiler_builtins",
    "core",
];

/// Runs the command; `--limit BYTES` fails when code and constants of the library need more.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let limit = match arguments {
        [] => None,
        [flag, bytes] if flag == "--limit" => {
            Some(bytes.parse::<u64>().map_err(|_| format!("not a number of bytes: {bytes}"))?)
        }
        _ => return Err("usage: cargo xtask no-std [--limit BYTES]".to_owned()),
    };
    for needed in [CARGO, RUSTC, CORE_SOURCE] {
        if !Path::new(needed).exists() {
            return Err(format!("{needed} does not exist: {MISSING}"));
        }
    }
    let linker = linker_folder()?;
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let target = root.join("target/no-std");
    let mut check = cargo(&linker, &target);
    check.args(["check", "--release", "--target", TARGET, "-Zbuild-std=core"]);
    check.args(ROOMS.iter().flat_map(|room| ["-p", room]));
    succeed(&mut check, "checking the rooms without alloc")?;
    let mut check = cargo(&linker, &target);
    check.args(["check", "--release", "--target", TARGET, "-Zbuild-std=core,alloc"]);
    check.args(["--features", SECURED, "-p", "lightship-dtls"]);
    check.args(ROOMS.iter().flat_map(|room| ["-p", room]));
    succeed(&mut check, "checking the rooms with alloc")?;
    let image = target.join(TARGET).join("release/lightship-mcu");
    let measure = |features: &[&str], what: &str| {
        let mut build = cargo(&linker, &target);
        build.current_dir(root.join("dev/mcu")).args(["build", "--release"]).args(features);
        succeed(&mut build, &format!("building {what}"))?;
        let bytes = std::fs::read(&image).map_err(|error| format!("{}: {error}", image.display()))?;
        without_registry(&bytes)?;
        let elf = Elf::parse(&bytes).ok_or_else(|| format!("{}: not a 32-bit ELF file", image.display()))?;
        Ok::<u64, String>(print(&elf))
    };
    let plain = measure(&[], "the firmware")?;
    let secured = measure(&["--features", "secured"], "the firmware with DTLS")?;
    println!("security costs {} bytes of flash", secured.saturating_sub(plain));
    match limit {
        Some(limit) if plain > limit => Err(format!("{plain} bytes of flash, the limit is {limit}")),
        _ => Ok(()),
    }
}

/// The firmware asks the object definitions only while it is compiled, so their tables must not be in it.
fn without_registry(image: &[u8]) -> Result<(), String> {
    let tables = std::fs::read(crate::registry::TABLES)
        .map_err(|error| format!("{}: {error}", crate::registry::TABLES))?;
    let piece = tables.get(..64).ok_or("the object definition tables are empty")?;
    if image.windows(piece.len()).any(|window| window == piece) {
        return Err("the firmware carries the object definition tables, 85 KB that it never reads".to_owned());
    }
    Ok(())
}

/// The folder of `rust-lld`, which the bare-metal targets link with.
fn linker_folder() -> Result<PathBuf, String> {
    let output =
        Command::new("rustc").args(["--print", "sysroot"]).output().map_err(|error| error.to_string())?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let hosts = std::fs::read_dir(sysroot.join("lib/rustlib")).map_err(|error| error.to_string())?;
    let folders = hosts.flatten().map(|host| host.path().join("bin"));
    folders
        .into_iter()
        .find(|folder| folder.join("rust-lld").exists())
        .ok_or_else(|| format!("no rust-lld below {}", sysroot.display()))
}

fn cargo(linker: &Path, target: &Path) -> Command {
    let mut command = Command::new(CARGO);
    let path = std::env::var("PATH").unwrap_or_default();
    // What rustup and an outer cargo set would lead the inner one back to the ordinary toolchain.
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command.env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", target);
    command.env("PATH", format!("{}:{path}", linker.display()));
    for (key, value) in [("OPT_LEVEL", "z"), ("LTO", "fat"), ("CODEGEN_UNITS", "1")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    command.arg("--quiet");
    command
}

fn succeed(command: &mut Command, what: &str) -> Outcome {
    println!("{what} for {TARGET}");
    let status = command.status().map_err(|error| format!("{CARGO}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what} failed")) }
}

/// Prints the sizes; returns the flash of everything except the interrupt table.
fn print(elf: &Elf) -> u64 {
    let size = |names: &[&str]| -> u64 {
        elf.sections
            .iter()
            .filter(|section| names.contains(&section.name.as_str()))
            .map(|section| section.size)
            .sum()
    };
    let code = size(&[".vector_table", ".text"]);
    let constants = size(&[".rodata"]);
    let (data, zeroed) = (size(&[".data"]), size(&[".bss", ".uninit"]));
    println!(
        "flash  {:>7}  = code {code} + constants {constants} + initial values {data}",
        code + constants + data
    );
    println!(
        "RAM    {:>7}  = initialised {data} + zeroed {zeroed} (static; the stack comes on top)",
        data + zeroed
    );
    let mut owners: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for symbol in &elf.symbols {
        let owner = owner(&symbol.name);
        let totals = owners.entry(owner).or_default();
        if symbol.flash { totals.0 += symbol.size } else { totals.1 += symbol.size }
    }
    let named: u64 = owners.values().map(|(flash, _)| flash).sum();
    println!("by crate, as far as symbols tell (fat LTO moves code across crates):");
    for (owner, (flash, ram)) in &owners {
        println!("  {owner:<20} flash {flash:>7}  RAM {ram:>7}");
    }
    let unnamed = (code + constants).saturating_sub(named);
    println!("  {:<20} flash {unnamed:>7}", "constants, padding");
    // The firmware's own code is a few hundred bytes; the engine, which is generic, is compiled into it.
    let library = (code + constants + data).saturating_sub(size(&[".vector_table"]));
    println!("flash of the client with everything it drags in: {library}");
    let mut largest: Vec<&Symbol> = elf.symbols.iter().filter(|symbol| symbol.flash).collect();
    largest.sort_by_key(|symbol| std::cmp::Reverse(symbol.size));
    println!("largest functions:");
    for symbol in largest.iter().take(12) {
        println!("  {:>7}  {}", symbol.size, symbol.name);
    }
    library
}

/// The crate whose code it is: of generic code the one that wrote it, not the one that uses it.
fn owner(symbol: &str) -> &'static str {
    let found = OWNERS.iter().filter_map(|owner| Some((symbol.find(owner)?, *owner)));
    found.min().map_or("other", |(_, owner)| owner)
}

/// The parts of a 32-bit little-endian ELF file that sizes need.
struct Elf {
    sections: Vec<Section>,
    symbols: Vec<Symbol>,
}

struct Section {
    name: String,
    size: u64,
}

struct Symbol {
    name: String,
    size: u64,
    flash: bool,
}

impl Elf {
    fn parse(bytes: &[u8]) -> Option<Elf> {
        if bytes.get(..6)? != [0x7F, b'E', b'L', b'F', 1, 1] {
            return None;
        }
        let table = word(bytes, 32)?;
        let entry = usize::from(half(bytes, 46)?);
        let count = usize::from(half(bytes, 48)?);
        let headers: Vec<&[u8]> = (0..count)
            .map(|index| bytes.get(table + index * entry..table + (index + 1) * entry))
            .collect::<Option<_>>()?;
        let content = |header: &[u8]| bytes.get(word(header, 16)?..word(header, 16)? + word(header, 20)?);
        let names = content(headers.get(usize::from(half(bytes, 50)?))?)?;
        let mut sections = Vec::new();
        let mut symbols = Vec::new();
        for header in &headers {
            let name = text(names, word(header, 0)?);
            sections.push(Section { name, size: u64::try_from(word(header, 20)?).ok()? });
            if word(header, 4)? == 2 {
                let strings = content(headers.get(word(header, 24)?)?)?;
                for symbol in content(header)?.chunks_exact(16) {
                    // Functions (2) and objects (1).
                    if matches!(symbol[12] & 15, 1 | 2) {
                        symbols.push(Symbol {
                            name: text(strings, word(symbol, 0)?),
                            size: u64::try_from(word(symbol, 8)?).ok()?,
                            flash: word(symbol, 4)? < 0x2000_0000,
                        });
                    }
                }
            }
        }
        Some(Elf { sections, symbols })
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

fn text(strings: &[u8], at: usize) -> String {
    let tail = strings.get(at..).unwrap_or_default();
    String::from_utf8_lossy(tail.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}
