//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Tells a weir mesh what to do, and sees what it does.
#[derive(Parser, Debug)]
#[command(name = "weir", version, after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Args {
    /// The control plane's policy API. With whom to trust (--trust-pin, --trust-bundle) it is spoken to with TLS; plain text is for this
    /// machine, and for others where http:// says so.
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
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Whom to believe, and what to show.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Credentials {
    /// Believe a control plane whose root has this key, sha256:HEX
    #[arg(long, env = "WEIR_TRUST_PIN", value_name = "PIN", global = true)]
    pub(crate) trust_pin: Option<weir_identity::Pin>,
    /// Believe a control plane for which one of these roots (PEM) vouches
    #[arg(long, env = "WEIR_TRUST_BUNDLE", value_name = "FILE", global = true)]
    pub(crate) trust_bundle: Option<PathBuf>,
    /// The trust domain of that file, if its roots do not name it
    #[arg(long, env = "WEIR_TRUST_DOMAIN", value_name = "NAME", global = true)]
    pub(crate) trust_domain: Option<weir_identity::TrustDomain>,
    /// Show the bearer token in this file (mode 0600)
    #[arg(long, env = "WEIR_TOKEN_FILE", value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// Show this client certificate: the file that `weir identity operator` wrote (mode 0600)
    #[arg(long, env = "WEIR_IDENTITY", value_name = "FILE", global = true, requires = "trust_bundle")]
    pub(crate) identity: Option<PathBuf>,
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
    /// Make, list and revoke tokens: for workloads that join, and for operators
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show and replace the roots of the mesh, sign operators' keys
    #[command(subcommand)]
    Identity(IdentityCommand),
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

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once
    #[command(
        after_help = "Examples:\n  weir token create --service-account shop/cart --ttl 15m    for one sidecar, once\n  weir token create --role editor --name ci --ttl 90d         for calls of the policy API"
    )]
    Create {
        /// Its bearer becomes this workload, once.
        #[arg(
            long,
            value_name = "NAMESPACE/NAME",
            required_unless_present = "role",
            conflicts_with = "role"
        )]
        service_account: Option<String>,
        /// Its bearer may call the policy API as viewer, editor or admin.
        #[arg(long, value_name = "ROLE", requires = "name")]
        role: Option<weir_identity::Role>,
        /// Who will use it, for the history.
        #[arg(long, value_name = "NAME", requires = "role")]
        name: Option<String>,
        /// How long it can be used, such as 90s, 15m, 24h or 30d.
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
        ttl: u64,
    },
    /// List tokens: for whom, until when, whether used
    List,
    /// Revoke a token
    Revoke {
        /// Its id, or at least the first 6 digits of it.
        id: String,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum IdentityCommand {
    /// Show who signs and whom sidecars trust
    Show,
    /// Print the roots that are trusted, in PEM
    Bundle,
    /// Make a key, have it signed for an operator, and write both to a file (mode 0600)
    #[command(after_help = "Example:\n  weir identity operator alice --role editor --out alice.pem")]
    Operator {
        /// Who it is, for the history: one word.
        name: String,
        /// viewer, editor or admin.
        #[arg(long, value_name = "ROLE")]
        role: weir_identity::Role,
        /// Where to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Replace the root: prepare the next one, activate it when every sidecar knows it, retire the old one when nothing it signed is valid
    Rotate {
        /// The step.
        step: Step,
        /// Although not every sidecar can have followed yet.
        #[arg(long)]
        force: bool,
    },
}

/// A step of replacing the root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Step {
    /// Make the next root: trusted, silent
    Prepare,
    /// The next root signs
    Activate,
    /// The old root is trusted no more
    Retire,
}

/// A duration in seconds: a number and s, m, h or d.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no duration; write such as 90s, 15m, 24h or 30d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    number.checked_mul(factor).filter(|seconds| *seconds > 0).ok_or_else(wrong)
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

#[cfg(test)]
mod tests;
