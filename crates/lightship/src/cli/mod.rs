//! Stage one: text to raw arguments. Every option is declared here and nowhere else, so that the help, the shell
//! completions and the parser cannot disagree. Stage two, raw arguments to meaning, is the commands' own.

mod ctl;
mod decode;
mod demo;
mod device;
mod load;
mod serve;
mod store;

pub(crate) use self::ctl::{
    AuditArguments, BootstrapCommand, BulkArguments, BulkCommand, CertificateCommand, CommandsArguments,
    CompositeCommand, CredentialsCommand, CtlArguments, CtlCommand, Delivery, DocumentArguments,
    DownlinkCommand, HistoryArguments, ListArguments, LogArguments, ModelsCommand, Place, ProofArguments,
    SecurityCommand, TemplatesCommand, TokensCommand, TraceArguments, Values,
};
pub(crate) use self::decode::DecodeArguments;
pub(crate) use self::demo::DemoArguments;
pub(crate) use self::device::DeviceArguments;
pub(crate) use self::load::LoadArguments;
pub(crate) use self::serve::ServeArguments;
pub(crate) use self::store::{StoreArguments, StoreCommand};

use crate::failure::Failure;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Lightship: an open, complete LwM2M in one program.
#[derive(Debug, Parser)]
#[command(
    name = "lightship",
    version,
    after_help = "Example: see it all at work, with nothing to prepare\n  lightship demo\n\nExit codes: 0 done, 1 refused or failed, 2 wrong usage."
)]
pub(crate) struct Cli {
    /// What to log to standard error, for example `debug` or `lightship_server=trace,info`
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "FILTER",
        env = "LIGHTSHIP_LOG"
    )]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArguments),
    Serve(Box<ServeArguments>),
    Device(Box<DeviceArguments>),
    Ctl(Box<CtlArguments>),
    Load(Box<LoadArguments>),
    Decode(DecodeArguments),
    Store(StoreArguments),
    Completions(CompletionsArguments),
}

/// Print a completion script for your shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example: completions for this bash session\n  source <(lightship completions bash)\n\nFor good:\n  lightship completions bash > ~/.local/share/bash-completion/completions/lightship\n  lightship completions zsh > ~/.zfunc/_lightship\n  lightship completions fish > ~/.config/fish/completions/lightship.fish"
)]
pub(crate) struct CompletionsArguments {
    /// The shell to print for
    shell: Shell,
}

/// Runs the command that was asked for.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(arguments) => crate::demo::run(&arguments),
        Command::Serve(arguments) => crate::serve::run(&arguments),
        Command::Device(arguments) => crate::device::run(*arguments),
        Command::Ctl(arguments) => crate::ctl::run(*arguments),
        Command::Load(arguments) => crate::load::run(&arguments),
        Command::Decode(arguments) => crate::decode::run(&arguments),
        Command::Store(arguments) => crate::store::run(&arguments),
        Command::Completions(arguments) => completions(arguments.shell),
    }
}

/// Prints the completion script.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lightship", &mut script);
    crate::output::exactly(String::from_utf8_lossy(&script).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        fn check(command: &clap::Command, path: &str) {
            if command.get_name() == "help" {
                return;
            }
            let path = format!("{path} {}", command.get_name());
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{path} does not say what it does");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{path} shows no example");
            assert!(after.contains("lightship "), "{path} has an example without the program's name");
            assert!(!after.contains("{n}"), "{path}: of {{n}} the help makes a line break");
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                let help = argument.get_help().map(ToString::to_string);
                assert!(help.is_some_and(|help| !help.contains("{n}")), "{path}: {}", argument.get_id());
            }
            for sub in command.get_subcommands() {
                check(sub, &path);
            }
        }
        check(&Cli::command(), "");
    }
}
