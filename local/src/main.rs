//! `cargo run`: the whole system on 127.0.0.1. `cargo run -- demo`: a demonstration that takes a minute.

use clap::{Parser, Subcommand};
use rekindle_domain::{
    compact::Tiering,
    key::Token,
    time::{Clock, Period, Time},
};
use rekindle_local::{
    admin_key::{self, AdminKey},
    clock::LocalClock,
    demo,
    embedded::{EmbeddedAws, Now},
    listen,
    sample::{self, SampleError},
    server::Local,
    sign_in::SignInLink,
    stack::{Stack, local_settings},
};
use rekindle_runtime::ports::RandomIds;
use rekindle_service::{Caller, Settings, Sizes, config::addresses};
use std::{error::Error, io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tracing_subscriber::EnvFilter;

/// Campaign interaction data that expires, and comes back.
#[derive(Parser)]
#[command(name = "rekindle", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 7878)]
    port: u16,
    /// The directory that keeps the data.
    #[arg(long, default_value = ".rekindle", value_name = "DIR")]
    data: PathBuf,
    /// Keep everything in memory; it is gone when the program ends.
    #[arg(long, conflicts_with = "data")]
    memory: bool,
    /// The admin key. Without this option the first start makes one and keeps it with the data.
    #[arg(long, value_name = "SECRET")]
    key: Option<Token>,
    /// A file that holds the admin key. Other users of this machine can see the arguments of a program, but not this file.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    key_file: Option<PathBuf>,
    /// Fill an empty system with sample data: some forty campaigns and Canvases, in every state, over eight months.
    #[arg(long)]
    sample: bool,
    /// How long a campaign's data stays available after the campaign stopped (ISO 8601).
    #[arg(long, default_value = "P3M", value_parser = Period::parse, value_name = "PERIOD")]
    retention: Period,
    /// Stop an active source after this time without interactions (ISO 8601). Without this option, never.
    #[arg(long, value_parser = Period::parse, value_name = "PERIOD")]
    auto_stop_after: Option<Period>,
    /// How long before data expires a mail announces it (ISO 8601).
    #[arg(long, default_value = "P7D", value_parser = Period::parse, value_name = "PERIOD")]
    warn_before: Period,
    /// How long data is kept after a mail announced its expiry, whatever made it due (ISO 8601).
    #[arg(long, default_value = "P1D", value_parser = Period::parse, value_name = "PERIOD")]
    notice_period: Period,
    /// Addresses that get these mails besides those that a campaign names, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "ADDRESSES")]
    notify: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Show a campaign's data arrive, expire and come back, in memory, in under a minute.
    Demo {
        /// How many users receive the campaign.
        #[arg(long, default_value_t = 800_000)]
        users: u32,
    },
}

/// An inbox of this many bytes is folded into a run. A deployment folds larger ones, since each fold costs some writes; here
/// they cost nothing, and lists show the counts of small campaigns, too.
const FOLDED_BYTES: u64 = 32 << 10;
/// How long the program's end waits for calls that are under way, such as a write to the disk.
const LAST_CALLS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rekindle: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(arguments));
    runtime.shutdown_timeout(LAST_CALLS);
    code
}

async fn run(arguments: Arguments) -> ExitCode {
    #[allow(clippy::disallowed_methods, reason = "the log filter is the shell's")]
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,s3s=off".to_owned());
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    // Lines for a person at a terminal; elsewhere JSON, with the fields that the functions' log has.
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).with_span_list(false).init();
    }
    let outcome = match arguments.command {
        Some(Command::Demo { users }) => demo::run(users).await,
        None => serve(&arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rekindle: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let address = ("127.0.0.1", arguments.port);
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
        format!("port {} is not free ({error}); choose another with --port", arguments.port)
    })?;
    let port = listener.local_addr()?.port();
    let clock = Arc::new(if arguments.memory {
        LocalClock::in_memory()
    } else {
        let data = &arguments.data;
        let refused = |error| {
            format!("cannot keep data in {} ({error}); choose another directory with --data", data.display())
        };
        LocalClock::open(data).map_err(refused)?
    });
    let now = now(&clock);
    let aws = if arguments.memory {
        EmbeddedAws::in_memory(now)?
    } else {
        EmbeddedAws::open(&arguments.data, now)?
    };
    let defaults = local_settings(arguments.retention);
    let tiering = Tiering { inbox_bytes: FOLDED_BYTES, ..defaults.sizes.tiering };
    let settings = Settings {
        sizes: Sizes { tiering, ..defaults.sizes },
        auto_stop_after: arguments.auto_stop_after,
        warn_before: arguments.warn_before,
        notice_period: arguments.notice_period,
        notify: addresses(&arguments.notify.join(",")).map_err(|why| format!("--notify: {why}"))?,
        ..defaults
    };
    let stack = Stack::create(&aws, clock.clone(), Arc::new(RandomIds), settings).await?;
    let key = match (&arguments.key, &arguments.key_file) {
        (Some(token), _) => AdminKey::of(token.clone()),
        (None, Some(file)) => AdminKey::read(file).map_err(|error| format!("--key-file {error}"))?,
        (None, None) if arguments.memory => AdminKey::of(admin_key::new_token(&*clock, &RandomIds)),
        (None, None) => AdminKey::kept(&arguments.data, &*clock, &RandomIds)?,
    };
    stack.app.install_key(&key.token, admin_key::NAME).await?;
    let link = SignInLink::new(key.token.clone(), &RandomIds);
    let mut local = Local::new(stack, aws, clock.clone());
    local.link = Some(link.clone());
    if arguments.sample {
        load_sample(&local, Caller::of(key.token.id)).await?;
    }
    let kept =
        if arguments.memory { "in memory".to_owned() } else { format!("in {}", arguments.data.display()) };
    println!("{}", welcome(port, &kept, clock.now(), &key, &link));
    tokio::select! {
        () = listen::serve(listener, local.router(), local.limits, listen::stopped()) => {}
        () = local.run_in_background() => {}
    }
    Ok(())
}

/// Fills the system with sample data, with a bar at a terminal. A system that takes none goes on without, and says why.
async fn load_sample(local: &Local, by: Caller) -> Result<(), Box<dyn Error>> {
    let bar = demo::bar(0, "{bar:40} {msg}");
    let tell = |progress: sample::Progress| {
        bar.set_length(progress.days);
        bar.set_position(progress.done);
        let day = progress.day.to_string();
        bar.set_message(format!(
            "{}, {} interactions",
            day.get(..10).unwrap_or_default(),
            progress.interactions
        ));
    };
    let loaded = sample::load(local, by, tell).await;
    bar.finish_and_clear();
    match loaded {
        Err(error @ SampleError::Broken(_)) => Err(error.into()),
        Err(error) => {
            eprintln!("rekindle: {error}.");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn now(clock: &Arc<LocalClock>) -> Now {
    let clock = clock.clone();
    Arc::new(move || jiff::Timestamp::from_millisecond(clock.now().0).unwrap_or_default())
}

fn welcome(port: u16, kept: &str, now: Time, key: &AdminKey, link: &SignInLink) -> String {
    let path = link.path().unwrap_or_default();
    let url = format!("http://127.0.0.1:{port}");
    let auth = format!("-H \"authorization: Bearer {}\"", key.in_shell);
    let made = key.made.as_ref().map_or_else(String::new, |file| {
        format!(
            "\n\nYour admin key, shown this once and kept in {}, where only you may read it:\n  {}",
            file.display(),
            key.token
        )
    });
    format!(
        r#"Rekindle runs at {url}, its data is {kept}, its clock says {now}.{made}

Open the console. This link signs you in, and works once:
  {url}{path}

Post interactions (the campaign is registered on first sight):
  curl -s {url}/v1/interactions {auth} -H 'content-type: application/json' -d '[{{"user_id":"u1","campaign_id":"spring-sale","type":"received","channel":"email"}},{{"user_id":"u2","campaign_id":"spring-sale","type":"received","channel":"email"}},{{"user_id":"u1","campaign_id":"spring-sale","type":"clicked","channel":"email","link_alias":"cta"}}]'
Count who received it and did not click:
  curl -s {url}/v1/audiences/count {auth} -H 'content-type: application/json' -d '{{"filter":{{"all":[{{"received":{{"source":"campaign/spring-sale"}}}},{{"not":{{"clicked":{{"source":"campaign/spring-sale"}}}}}}]}}}}'
Look at the campaign:
  curl -s {url}/v1/campaigns/spring-sale {auth}

Stop with Ctrl-C. `rekindle --help` shows more; `rekindle demo` shows the whole life of a campaign's data in a minute."#
    )
}
