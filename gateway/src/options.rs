//! The options of `tidings serve`: that the README lists them, and that no secret is shown.

use super::Cli;
use clap::{Arg, CommandFactory};
use std::fs;

const BEGIN: &str = "| option | variable | default | what it is |\n|---|---|---|---|\n";

/// What can be set, but what clap adds by itself.
fn options() -> Vec<Arg> {
    let mut cli = Cli::command();
    cli.build();
    let serve = cli.find_subcommand("serve").expect("there is a server");
    serve.get_arguments().filter(|it| it.get_env().is_some()).cloned().collect()
}

fn variable(option: &Arg) -> String {
    option.get_env().expect("each option has one").to_string_lossy().into_owned()
}

/// A row of the README's table.
fn row(option: &Arg) -> String {
    let default = option.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
    let default =
        if option.get_action().takes_values() { default.collect::<Vec<_>>().join(" ") } else { String::new() };
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let flag = option.get_long().expect("each option has a name");
    format!("| `--{flag}` | `{}` | {default} | {} |\n", variable(option), help.replace('|', "\\|"))
}

#[test]
fn the_readme_lists_every_option() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, table) = readme.split_once(BEGIN).expect("the README has the table");
    let shown: String = table.split_inclusive('\n').take_while(|line| line.starts_with('|')).collect();
    let options: String = options().iter().map(row).collect();
    assert!(shown == options, "the README's table should be:\n\n{BEGIN}{options}");
}

#[test]
fn every_secret_can_stand_in_a_file_and_none_is_shown() {
    let options = options();
    let secrets = options.iter().filter(|it| it.is_hide_env_values_set()).map(variable).collect::<Vec<_>>();
    for known in
        ["KEYRING_URL", "DATABASE_URL", "MONGODB_URL", "REDIS_URL", "KAFKA_PROPERTIES", "OTEL_EXPORTER_OTLP_HEADERS"]
    {
        assert!(secrets.iter().any(|it| it == known), "the help shows {known}");
    }
    for secret in &secrets {
        let file = format!("{secret}_FILE");
        assert!(options.iter().any(|it| variable(it) == file), "{file} is missing");
    }
    // Whatever has a name like that is one.
    for option in &options {
        let name = variable(option);
        let may_be = ["_URL", "_PASSWORD", "_SECRET", "_TOKEN", "_KEY"].iter().any(|end| name.ends_with(end));
        assert!(!may_be || name == "TIDINGS_PUBLIC_URL" || secrets.contains(&name), "the help shows {name}");
    }
}
