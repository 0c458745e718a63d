//! The mesh of the demo: seven processes on this machine, every port chosen by the kernel.

use super::options::Options;
use super::policy::Policy;
use super::process::Process;
use super::tally::VERSIONS;
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A service instance: its name, which is its application's too, its sidecar's node id, and the arguments that say who it is.
#[derive(Debug)]
struct Instance {
    name: &'static str,
    node: &'static str,
    service: &'static str,
    labels: &'static [&'static str],
}

const FRONTEND: Instance =
    Instance { name: "frontend", node: "frontend-1", service: "default/frontend", labels: &["app=frontend"] };
const REVIEWS: [Instance; 2] = [
    Instance {
        name: VERSIONS[0],
        node: "reviews-v1-1",
        service: "default/reviews",
        labels: &["app=reviews", "version=v1"],
    },
    Instance {
        name: VERSIONS[1],
        node: "reviews-v2-1",
        service: "default/reviews",
        labels: &["app=reviews", "version=v2"],
    },
];

/// The node ids of all sidecars.
pub(crate) const NODES: [&str; 3] = [FRONTEND.node, REVIEWS[0].node, REVIEWS[1].node];
/// So many requests each second are traced; of a faster load only a share is.
const TRACED_RATE: u32 = 200;
/// Any free port.
const HERE: &str = "127.0.0.1:0";

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    control_plane: PathBuf,
    sidecar: PathBuf,
    this: PathBuf,
}

impl Programs {
    /// Finds them beside this program, or where the options say.
    pub(crate) fn find(bin_dir: Option<&Path>) -> anyhow::Result<Programs> {
        let this = std::env::current_exe().context("cannot find this program")?;
        let directory = match bin_dir {
            Some(directory) => directory.to_owned(),
            None => this.parent().context("this program has no directory")?.to_owned(),
        };
        let [control_plane, sidecar] =
            ["weir-control-plane", "weir-sidecar"].map(|name| directory.join(name));
        for program in [&control_plane, &sidecar] {
            if !program.is_file() {
                bail!(
                    "there is no {}: the demo starts it as a process. `cargo build --release` in weir's checkout builds it beside \
                     this program; --bin-dir DIR names another place",
                    program.display()
                );
            }
        }
        Ok(Programs { control_plane, sidecar, this })
    }
}

/// A running mesh. Dropping it kills every process.
#[derive(Debug)]
pub(crate) struct Mesh {
    programs: Programs,
    directory: PathBuf,
    /// Absent during the outage.
    control_plane: Option<Process>,
    others: Vec<Process>,
    /// Where the control plane listens, as its flags: the same again after the outage.
    listen: Vec<String>,
    /// The policy API.
    pub(crate) policy: SocketAddr,
    xds: SocketAddr,
    /// Where load goes in: the inbound listener of frontend's sidecar.
    pub(crate) entrance: SocketAddr,
}

impl Mesh {
    /// Starts the control plane, then the applications, each with its sidecar.
    pub(crate) async fn start(
        programs: Programs,
        directory: &Path,
        otlp: &str,
        options: &Options,
    ) -> anyhow::Result<Mesh> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut mesh = Mesh {
            programs,
            directory: directory.to_owned(),
            control_plane: None,
            others: Vec::new(),
            listen: ["--policy-listen", HERE, "--xds-listen", HERE, "--admin-listen", HERE]
                .map(str::to_owned)
                .to_vec(),
            policy: anywhere,
            xds: anywhere,
            entrance: anywhere,
        };
        mesh.start_control_plane().await?;
        for instance in &REVIEWS {
            mesh.start_instance(instance, otlp, options).await?;
        }
        mesh.entrance = mesh.start_instance(&FRONTEND, otlp, options).await?;
        Ok(mesh)
    }

    /// Starts the control plane, the second time on the ports and the data it had.
    pub(crate) async fn start_control_plane(&mut self) -> anyhow::Result<()> {
        let data = self.directory.join("data");
        let mut arguments = vec!["--data-dir".to_owned(), data.display().to_string()];
        arguments.extend_from_slice(&self.listen);
        let process =
            Process::start("control-plane", &self.directory, &self.programs.control_plane, &arguments)
                .await?;
        (self.policy, self.xds) = (process.address("policy")?, process.address("xds")?);
        let listen = [
            ("--policy-listen", self.policy),
            ("--xds-listen", self.xds),
            ("--admin-listen", process.address("admin")?),
        ];
        self.listen =
            listen.into_iter().flat_map(|(flag, address)| [flag.to_owned(), address.to_string()]).collect();
        self.control_plane = Some(process);
        Ok(())
    }

    /// Kills the control plane with SIGKILL.
    pub(crate) async fn kill_control_plane(&mut self) -> anyhow::Result<()> {
        match self.control_plane.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// A new connection to the policy API.
    pub(crate) async fn connect(&self) -> anyhow::Result<Policy> {
        Policy::connect(self.policy).await
    }

    /// An application and its sidecar; the sidecar's inbound address.
    async fn start_instance(
        &mut self,
        instance: &Instance,
        otlp: &str,
        options: &Options,
    ) -> anyhow::Result<SocketAddr> {
        let name = ["demo-app", "--name", instance.name, "--otlp", otlp].map(str::to_owned);
        let mut app = Process::start(instance.name, &self.directory, &self.programs.this, &name).await?;
        let state = self.directory.join(instance.node);
        let mut arguments: Vec<String> = Vec::new();
        let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        flag("--xds", self.xds.to_string());
        flag("--node-id", instance.node.to_owned());
        flag("--service", instance.service.to_owned());
        for label in instance.labels {
            flag("--label", (*label).to_owned());
        }
        flag("--inbound", format!("{HERE}={}", app.address("http")?));
        flag("--admin-listen", HERE.to_owned());
        flag("--state-dir", state.display().to_string());
        flag("--workers", "1".to_owned());
        flag("--otlp", otlp.to_owned());
        flag("--trace-sampling", sampling(options.rate).to_string());
        let calls_others = instance.name == FRONTEND.name;
        if calls_others {
            flag("--outbound", HERE.to_owned());
        }
        let name = format!("{}-sidecar", instance.name);
        let sidecar = Process::start(&name, &self.directory, &self.programs.sidecar, &arguments).await?;
        if calls_others {
            app.tell(&sidecar.address("outbound")?.to_string()).await?;
        }
        let inbound = sidecar.address("inbound")?;
        self.others.extend([app, sidecar]);
        Ok(inbound)
    }

    /// Whether the control plane runs.
    pub(crate) fn has_control_plane(&self) -> bool {
        self.control_plane.is_some()
    }

    /// An error if a process ended although nobody asked it to.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.others.iter_mut().chain(&mut self.control_plane).try_for_each(Process::check)
    }

    /// The ends of all logs.
    pub(crate) fn tails(&self) -> String {
        let processes = self.others.iter().chain(&self.control_plane);
        processes.map(|process| format!("{}:{}", process.name, process.tail())).collect()
    }

    /// Kills everything and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        self.others.extend(self.control_plane.take());
        // Sidecars first, or they would complain of their applications.
        for process in self.others.iter_mut().rev() {
            let _gone_already = process.kill().await;
        }
    }
}

/// The share of requests that is traced.
fn sampling(rate: u32) -> f64 {
    (f64::from(TRACED_RATE) / f64::from(rate.max(1))).min(1.0)
}
