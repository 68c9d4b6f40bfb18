//! The `tidings` program.

mod demo;
mod keyring;
mod migrate;
mod operate;
#[cfg(test)]
mod options;
mod tail;
mod verify;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use tidings_gateway::telemetry::{self, Metrics};
use tidings_gateway::{Config, ReadModelsConfig, Server, StoreConfig, openapi, refuse_servers};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The backend of a social network whose only source of truth is a durable log
#[derive(Parser)]
#[command(name = "tidings", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server
    Serve(Box<Config>),
    /// Lives on a network through its API, and compares all that can be read with its own books
    Demo(Box<demo::Arguments>),
    /// The log itself
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// What has happened
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Sagas of a running server: where they stand, and what to do about those that do not get on
    Sagas {
        #[command(subcommand)]
        command: operate::SagasCommand,
        #[command(flatten)]
        connection: operate::Connection,
    },
    /// Keys that stopped in a read model of a running server
    Parked {
        #[command(subcommand)]
        command: operate::ParkedCommand,
        #[command(flatten)]
        connection: operate::Connection,
    },
    /// People of a running server
    Users {
        #[command(subcommand)]
        command: operate::UsersCommand,
        #[command(flatten)]
        connection: operate::Connection,
    },
    /// The keys: people's, and the server's own
    Keyring {
        #[command(subcommand)]
        command: KeyringCommand,
    },
    /// Brings the schemas of the read models' databases to what this version knows, or makes them. Nodes of the version before
    /// that run go on working, but cannot be started any more
    Migrate(ReadModelsConfig),
    /// Prints the API's document, openapi.json
    Openapi,
}

#[derive(Subcommand)]
enum LogCommand {
    /// Reads the whole log, and checks every record against its chain and the anchors
    Verify(verify::Arguments),
    /// Reads the whole log, and says what each partition holds
    Stats(StoreConfig),
}

#[derive(Subcommand)]
enum KeyringCommand {
    /// Lists the keys that sign access tokens: their numbers, and since when each signs. No secret is shown
    Show(StoreConfig),
    /// Adds a key that signs access tokens; tokens of the ones before stay good until they expire
    Rotate(StoreConfig),
}

#[derive(Subcommand)]
enum EventsCommand {
    /// Prints events as they happen, one CloudEvent a line
    Tail(tail::Arguments),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(config) => serve(*config),
        Command::Demo(arguments) => demo::run(*arguments),
        Command::Log { command: LogCommand::Verify(arguments) } => verify::verify(&arguments),
        Command::Log { command: LogCommand::Stats(store) } => verify::stats(&store),
        Command::Events { command: EventsCommand::Tail(arguments) } => tail::run(&arguments),
        Command::Sagas { command, connection } => operate::sagas(&connection, command),
        Command::Parked { command, connection } => operate::parked(&connection, command),
        Command::Users { command, connection } => operate::users(&connection, command),
        Command::Keyring { command: KeyringCommand::Show(store) } => keyring::show(&store),
        Command::Keyring { command: KeyringCommand::Rotate(store) } => keyring::rotate(&store),
        Command::Migrate(config) => migrate::run(&config),
        Command::Openapi => print_document(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if standard error is closed.
            let _ = writeln!(std::io::stderr(), "tidings: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<()> {
    refuse_servers(|name| std::env::var_os(name).is_some())?;
    config.check()?;
    telemetry::log(&config)?;
    let metrics = Metrics::install()?;
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(threads) = config.threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().context("starting threads")?;
    runtime.block_on(async {
        let stop = stop_on_signal()?;
        Server::open(config, metrics).await?.run(stop).await
    })
}

/// A token that SIGTERM or SIGINT cancels.
fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, stop) = (signal(kind).context("listening for signals")?, stop.clone());
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(stop)
}

fn print_document() -> Result<()> {
    let document = serde_json::to_string_pretty(&openapi())?;
    writeln!(std::io::stdout(), "{document}").context("writing the document")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_scripts_call_is_understood() {
        for line in [
            "tidings serve --data d --listen 127.0.0.1:0",
            "tidings demo --people 50 --kill 3",
            "tidings demo --graph g --kill 3",
            "tidings log verify --data d",
            "tidings log stats --data d",
            "tidings events tail --data d --from-start --type post. --count 3",
            "tidings sagas list --open --server http://127.0.0.1:1 --data d",
            "tidings sagas show 00000000-0000-0000-0000-000000000001",
            "tidings sagas retry 00000000-0000-0000-0000-000000000001 --reason r",
            "tidings parked discard posts post:1 --position 0@1 --reason r",
            "tidings users role ada operator --reason r",
            "tidings keyring show --data d",
            "tidings keyring rotate --data d",
            "tidings migrate --database-url postgres://h/d",
            "tidings openapi",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
