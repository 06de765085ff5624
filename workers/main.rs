//! The one binary: a process of the fleet, a whole fleet, or its command line.

mod analyze;
mod detail;
mod export;
mod intake;
mod process;
mod serve;
mod share;
mod train;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use eyefleet::catalog::CatalogError;
use eyefleet::cli::{self, Cli, Client, Command, Exit, Role};
use eyefleet::config::Config;
use eyefleet::search::SearchError;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Run(args) = &cli.command {
        leave_to_others(&cli, args.role);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("eyefleet: cannot start its threads: {error}");
            return Exit::Failed.into();
        }
    };
    let result = runtime.block_on(dispatch(cli));
    // A blocking read that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            if error.chain().any(is_closed_pipe) {
                // Whoever read the output has seen enough.
                return Exit::Done.into();
            }
            eprintln!("eyefleet: {error:#}");
            if error.chain().any(is_unknown_library) { Exit::NotFound } else { Exit::Failed }.into()
        }
    }
}

/// What threads take from the one that starts them: before the runtime has any.
fn leave_to_others(cli: &Cli, role: Role) {
    if matches!(role, Role::Train) {
        train::let_others_go_first();
    }
    // People wait for what `serve` answers. Settings that cannot be read are told of where they are
    // needed.
    if !matches!(role, Role::Serve)
        && let Ok(config) = Config::load(cli.config.as_deref())
        && let Err(error) = share::keep_to(config.share)
    {
        eprintln!("eyefleet: fleet.share cannot be kept to here: {error}");
    }
}

fn is_unknown_library(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(CatalogError::UnknownLibrary(_)))
        || matches!(cause.downcast_ref(), Some(SearchError::UnknownLibrary(_)))
}

fn is_closed_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "eyefleet", &mut std::io::stdout());
        return Ok(Exit::Done);
    }
    if let Command::Config(command) = &cli.command {
        return cli::config(cli.config.as_deref(), command, cli.json);
    }
    let config = Config::load(cli.config.as_deref())?;
    if !matches!(cli.command, Command::Restore(_) | Command::Doctor(_)) {
        eyefleet::backup::refuse_unfinished(&config.data)?;
    }
    match cli.command {
        Command::Backup(args) => cli::backup(config, &args, cli.json).await,
        Command::Restore(args) => cli::restore(config, &args, cli.json).await,
        Command::Run(args) => {
            eyefleet::telemetry::start_logging(&config, args.role.as_str())?;
            let process = process::Process::open(config, &args).await?;
            match args.role {
                Role::Analyze => analyze::run(process).await,
                Role::Export => export::run(process).await,
                Role::Train => train::run(process).await,
                Role::Intake => intake::run(process).await,
                Role::Serve => serve::run(process).await,
            }?;
            Ok(Exit::Done)
        }
        Command::Up(args) => {
            eyefleet::telemetry::start_logging(&config, "up")?;
            up::up(config, &args).await
        }
        Command::Demo(args) => {
            let stop = process::stop_signal(false)?;
            eyefleet::demo::demo(config, &args, cli.json, stop).await
        }
        Command::Doctor(args) => cli::doctor(config, &args, cli.json).await,
        command => {
            let client = Client::open(config).await?;
            cli::run(client, command, cli.json).await
        }
    }
}
