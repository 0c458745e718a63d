//! Endpoints: where a cluster's requests can go.

use crate::{Fraction, Labels};
use std::net::SocketAddr;

/// Region, zone and sub-zone, each possibly empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Locality {
    /// The outermost part, such as `eu`.
    pub region: String,
    /// The failure domain inside a region, such as `eu-1`.
    pub zone: String,
    /// The rack or room inside a zone, such as `a`.
    pub sub_zone: String,
}

impl std::fmt::Display for Locality {
    /// `region/zone/subzone`, as the command line takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.region, self.zone, self.sub_zone)
    }
}

impl std::str::FromStr for Locality {
    type Err = String;

    /// Parses `region[/zone[/subzone]]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let locality = Locality { region: next(), zone: next(), sub_zone: next() };
        match parts.next() {
            Some(_) => Err(format!("locality {text:?} has more than three parts; write region/zone/subzone")),
            None => Ok(locality),
        }
    }
}

/// What a control plane knows of an endpoint's health.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Health {
    /// Nothing known against it: it takes traffic.
    #[default]
    Healthy,
    /// It takes traffic only when too little else is healthy.
    Degraded,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// It takes no traffic unless the panic threshold is crossed.
    Unhealthy,
}

/// One address that serves.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// The workload's name, for people; empty if unknown.
    pub workload: String,
    /// Health as the control plane sees it.
    pub health: Health,
    /// Relative share within its locality, at least 1.
    pub weight: u32,
    /// What few endpoints have.
    pub details: Option<Box<EndpointDetails>>,
}

/// What few endpoints have. Absent rather than empty ([`EndpointDetails::boxed`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EndpointDetails {
    /// Its name as a host; empty if it has none.
    pub hostname: String,
    /// By which subsets select it.
    pub labels: Labels,
    /// Where it is asked whether it serves, if not where it serves.
    pub check_address: Option<SocketAddr>,
    /// As whom it is asked; as the health check says if empty.
    pub check_host: String,
    /// Whether it is never asked, and taken for healthy.
    pub unchecked: bool,
}

impl EndpointDetails {
    /// Nothing if there is nothing in them.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// The endpoints of one locality at one priority.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LocalityEndpoints {
    /// Where they are.
    pub locality: Locality,
    /// 0 is used first.
    pub priority: u32,
    /// Relative share among the localities of this priority, at least 1.
    pub weight: u32,
    /// In order of address, without duplicates.
    pub endpoints: Vec<Endpoint>,
}

/// The endpoints of a cluster (EDS: `ClusterLoadAssignment`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoints {
    /// The name the cluster's [`crate::Discovery::Eds`] asks for.
    pub name: String,
    /// In order of priority and locality.
    pub localities: Vec<LocalityEndpoints>,
    /// How much more than its share a priority or a locality can take, in percent, above 0: at 140, one of which 72 % are healthy takes
    /// all that it would if all were.
    pub overprovisioning: u32,
    /// Whether a priority's health is that of its endpoints' weights; if not, each counts as one.
    pub weighted_priority_health: bool,
    /// Requests that are refused, whatever the endpoints' health: each category's share of what those before it let pass.
    pub drops: Vec<DropOverload>,
}

/// A share of the requests to a cluster that is refused, because the control plane sees it overloaded (EDS `drop_overloads`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DropOverload {
    /// What it is counted under.
    pub category: String,
    /// Which share.
    pub share: Fraction,
}

/// Envoy's overprovisioning factor where nobody says, in percent.
pub const OVERPROVISIONING: u32 = 140;

impl Endpoints {
    /// Every endpoint with its locality, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&LocalityEndpoints, &Endpoint)> {
        self.localities
            .iter()
            .flat_map(|locality| locality.endpoints.iter().map(move |endpoint| (locality, endpoint)))
    }
}
