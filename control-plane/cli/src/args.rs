//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Tells a weir mesh what to do, and sees what it does.
#[derive(Parser, Debug)]
#[command(name = "weir", version, after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Args {
    /// The control plane's policy API.
    #[arg(
        long,
        short = 's',
        env = "WEIR_SERVER",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:15011",
        global = true
    )]
    pub(crate) server: String,
    /// How results are printed.
    #[arg(long, short = 'o', env = "WEIR_OUTPUT", value_enum, default_value_t = Format::Table, global = true)]
    pub(crate) output: Format,
    /// Seconds a call may take.
    #[arg(long, env = "WEIR_TIMEOUT", value_name = "SECONDS", default_value_t = 30, global = true, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For a person.
    Table,
    /// For a program.
    Json,
    /// For a program or a file.
    Yaml,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Create or change resources from files: all of them or, if anything is wrong, none
    #[command(
        after_help = "Examples:\n  weir apply -f reviews.yaml\n  weir apply -f policies/ -m 'canary to 50 %' --expected-revision 41\n  cat reviews.yaml | weir apply -f -"
    )]
    Apply {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        write: Write,
    },
    /// Say what apply would say and what each connected sidecar would get, without doing it
    Validate {
        #[command(flatten)]
        files: Files,
    },
    /// Show how files, or two revisions, differ from each other or from what is stored
    #[command(
        after_help = "Examples:\n  weir diff -f reviews.yaml      files against the current revision\n  weir diff 41                   revision 41 against the current one\n  weir diff 41 42                one revision against another"
    )]
    Diff {
        /// From this revision …
        #[arg(value_name = "FROM", required_unless_present = "files")]
        from: Option<u64>,
        /// … to this one; the current one if absent.
        #[arg(value_name = "TO")]
        to: Option<u64>,
        /// Files or directories of YAML documents; `-` is standard input.
        #[arg(long = "filename", short = 'f', value_name = "FILE", conflicts_with = "from")]
        files: Vec<PathBuf>,
    },
    /// Print one resource, as it can be applied again
    #[command(
        after_help = "Examples:\n  weir get httproute reviews\n  weir get service shop/cart --revision 12 -o json"
    )]
    Get {
        /// Service, Workload, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, TrafficPolicy or RouteFilter, in any case.
        kind: String,
        /// NAME or NAMESPACE/NAME; all of the kind if absent.
        name: Option<String>,
        #[command(flatten)]
        space: Namespace,
        /// As it was at this revision.
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
    /// List resources
    List {
        /// Of this kind; all if absent.
        kind: Option<String>,
        #[command(flatten)]
        space: Namespace,
        /// As they were at this revision.
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
    /// Delete resources: all of them or, if one is missing or needed, none
    #[command(after_help = "Examples:\n  weir delete httproute reviews\n  weir delete -f reviews.yaml")]
    Delete {
        /// Service, Workload, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, TrafficPolicy or RouteFilter, in any case.
        #[arg(required_unless_present = "files", requires = "names")]
        kind: Option<String>,
        /// NAME or NAMESPACE/NAME, several if you like.
        names: Vec<String>,
        /// What these files name, instead.
        #[arg(long = "filename", short = 'f', value_name = "FILE", conflicts_with_all = ["kind", "names"])]
        files: Vec<PathBuf>,
        #[command(flatten)]
        space: Namespace,
        #[command(flatten)]
        write: Write,
    },
    /// Show who changed what, when and why
    History {
        /// At most so many changes.
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// With the changes themselves.
        #[arg(long)]
        changes: bool,
    },
    /// Make all resources what they were at a revision, as a new revision
    Rollback {
        /// The revision.
        revision: u64,
        #[command(flatten)]
        write: Write,
    },
    /// Print changes as they happen
    Watch {
        /// From the change after this revision on; from now on if absent.
        #[arg(long, value_name = "N")]
        after: Option<u64>,
        /// Of this kind only.
        #[arg(long)]
        kind: Option<String>,
        #[command(flatten)]
        space: Namespace,
    },
    /// Say why a request would go where it goes
    #[command(
        after_help = "Examples:\n  weir explain http://reviews:9080/reviews/7\n  weir explain -X POST -H 'x-canary: always' http://reviews.default/ --from shop"
    )]
    Explain {
        /// The request's URL, as the client writes it.
        url: String,
        /// The request's method.
        #[arg(long, short = 'X', default_value = "GET")]
        method: String,
        /// A header field, `NAME: VALUE`; several if you like.
        #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// The namespace the client runs in.
        #[arg(long, value_name = "NAMESPACE", default_value = "default")]
        from: String,
        /// The service account the client runs as [default: default].
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        service_account: String,
        /// A label of the client; several if you like.
        #[arg(long = "label", value_name = "KEY=VALUE")]
        labels: Vec<String>,
        /// The connected sidecar (or Envoy, or gRPC client) the request passes, instead.
        #[arg(long, value_name = "ID")]
        node: Option<String>,
    },
    /// Show which sidecars serve which revision, what they refused and why, and how long changes take
    Status {
        /// One sidecar, resource by resource.
        node: Option<String>,
        /// Ask again every so many seconds until interrupted.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
        watch: Option<u64>,
    },
    /// Run a whole mesh on this machine: canary under load, control plane killed, rollback; needs nothing but the built programs
    #[command(
        after_help = "Examples:\n  weir demo\n  weir demo --duration 2m --rate 1000 --outage 10s\n  weir demo -o json > demo.json"
    )]
    Demo(crate::demo::Options),
    /// An application of the demo
    #[command(hide = true)]
    DemoApp(crate::demo::app::Options),
    /// A program that ends with the demo
    #[command(hide = true)]
    DemoExec(crate::demo::process::Exec),
    /// Print a completion script for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(ClapArgs, Debug)]
pub(crate) struct Files {
    /// Files or directories of YAML documents; `-` is standard input.
    #[arg(long = "filename", short = 'f', value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct Namespace {
    /// The namespace; for lists, all if absent.
    #[arg(long, short = 'n', env = "WEIR_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct Write {
    /// Only if this is the current revision.
    #[arg(long, value_name = "N")]
    pub(crate) expected_revision: Option<u64>,
    /// Why, for the history.
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "")]
    pub(crate) message: String,
    /// Who, for the history; your user name if absent.
    #[arg(long, env = "WEIR_AUTHOR", value_name = "NAME")]
    pub(crate) author: Option<String>,
}

impl Write {
    pub(crate) fn author(&self) -> String {
        self.author.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_default()
    }
}

/// Prints a completion script.
pub(crate) fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(
        shell,
        &mut <Args as clap::CommandFactory>::command(),
        "weir",
        &mut std::io::stdout(),
    );
}

const EXAMPLES: &str = "\
Examples:
  weir demo                                  see a mesh work, on this machine
  weir apply -f reviews.yaml                 change policy
  weir status                                who serves what
  weir explain http://reviews:9080/          why a request goes where it goes
  weir rollback 41                           back to revision 41";
