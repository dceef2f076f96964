//! The command line of a service, and help that teaches.

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use super::{ENV_PREFIX, ServiceInfo};
use crate::exit::Exit;

#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The settings file (TOML). Without one, the defaults and the environment are all there is
    #[arg(long, short, value_name = "FILE", env = "TRADEWIND_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Print the settings in force, secrets hidden, and end
    #[arg(long, group = "instead")]
    pub(super) show_config: bool,
    /// Print the built-in defaults with their explanations, to begin a settings file with, and end
    #[arg(long, group = "instead")]
    pub(super) print_defaults: bool,
    /// Read and judge the settings, start nothing, and end
    #[arg(long, group = "instead")]
    pub(super) check: bool,
}

impl Args {
    pub(super) fn parse(info: &ServiceInfo, arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Self, clap::Error> {
        let command =
            Self::command().name(info.name).bin_name(info.name).version(info.version).about(info.about).after_help(teaching(info));
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }
}

fn teaching(info: &ServiceInfo) -> String {
    let name = info.name;
    let mut text = format!(
        "Settings come from three places, the later wins:\n  \
           1. built-in defaults ({name} --print-defaults shows them, each explained)\n  \
           2. the file given by --config\n  \
           3. environment variables: [bus] brokers is {ENV_PREFIX}__BUS__BROKERS\n\
         Secrets are never settings: a setting names the file that holds the secret.\n\n\
         Signals: SIGTERM and SIGINT stop after the work at hand, within the setting `grace`; a second one ends at once.\n\n\
         Exit codes:\n"
    );
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>2}  {}\n", exit.code(), exit.meaning()));
    }
    text.push_str(&format!(
        "\nExamples:\n  {name} --print-defaults > {name}.toml\n  {name} --config {name}.toml --check\n  {name} --config {name}.toml"
    ));
    text
}
