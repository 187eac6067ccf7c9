//! The bill of a range of time over the clusters of a ledger, and its breakdowns.
//!
//! Each cluster is billed by itself, at its region's rates, as it was while it ran; here the bills are put side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::reader::{LedgerReadError, LedgerReader, Reading};
use crate::catalog::Catalog;
use crate::metering::bill::{BillUnit, CostAndUse};
use crate::metering::history::{Detail, History, HistoryBill};
use crate::metering::quantity::Quantity;
use crate::metering::stretch::Span;
use crate::model::task_definition::LaunchType;
use crate::model::units::{Fuel, NanoUsd};

/// Why there is no bill.
#[derive(Debug, Error)]
pub enum LedgerBillError {
    /// The ledger can't be read.
    #[error(transparent)]
    Read(#[from] LedgerReadError),
    /// A cluster's region has no prices.
    #[error("no prices are known for region {region}, in which cluster {cluster} is")]
    UnknownRegion {
        /// The cluster.
        cluster: Arc<str>,
        /// Its region.
        region: Arc<str>,
    },
    /// There is no such cluster.
    #[error("the ledger has no cluster {name}; it has {}", known.join(", "))]
    UnknownCluster {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No task in the range has such a tag.
    #[error("no task has a tag {key:?}; {}", match known.as_slice() {
        [] => "none has any tag".to_owned(),
        known => format!("there is {}", known.join(", ")),
    })]
    UnknownTag {
        /// What was asked for.
        key: String,
        /// What there is.
        known: Vec<String>,
    },
}

/// What a bill is broken down by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The service.
    Service,
    /// `family:revision`.
    TaskDefinition,
    /// The value of a tag.
    Tag(String),
    /// The launch type.
    LaunchType,
    /// The day, UTC.
    Day,
    /// The month, UTC.
    Month,
    /// The cluster.
    Cluster,
    /// The usage type: the bill's lines.
    UsageType,
}

impl GroupBy {
    /// What it has to tell apart.
    pub fn detail(&self) -> Detail {
        match self {
            GroupBy::Day | GroupBy::Month => Detail::Days,
            _ => Detail::Whole,
        }
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupBy::Service => f.write_str("service"),
            GroupBy::TaskDefinition => f.write_str("task-definition"),
            GroupBy::Tag(key) => write!(f, "tag:{key}"),
            GroupBy::LaunchType => f.write_str("launch-type"),
            GroupBy::Day => f.write_str("day"),
            GroupBy::Month => f.write_str("month"),
            GroupBy::Cluster => f.write_str("cluster"),
            GroupBy::UsageType => f.write_str("usage-type"),
        }
    }
}

/// The bill of one cluster in a range of time.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterBill {
    /// The cluster.
    pub name: Arc<str>,
    /// Its region.
    pub region: Arc<str>,
    /// The bill.
    pub history: HistoryBill,
    /// What was read for it.
    pub reading: Reading,
}

/// The bill of a range of time.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerBill {
    /// The range.
    pub range: Span,
    /// The clusters, by name, then region.
    pub clusters: Vec<ClusterBill>,
}

/// A line over all clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummedLine {
    /// AWS' name.
    pub usage_type: String,
    /// What it is, for people.
    pub description: String,
    /// What was paid for.
    pub launch_type: LaunchType,
    /// How much.
    pub quantity: Quantity,
    /// The unit of `quantity`.
    pub unit: BillUnit,
    /// The price of one unit.
    pub rate: NanoUsd,
    /// What it costs: the sum of what it costs each cluster.
    pub amount: NanoUsd,
}

impl LedgerBill {
    /// Reads a ledger and bills what is in the range: of one cluster when one is named, else of all.
    ///
    /// # Errors
    /// When the ledger can't be read, the cluster is not in it, or there are no prices for its region.
    pub fn of(
        reader: &LedgerReader,
        cluster: Option<&str>,
        range: Span,
        detail: Detail,
    ) -> Result<LedgerBill, LedgerBillError> {
        let wanted: Vec<_> =
            reader.clusters().iter().filter(|one| cluster.is_none_or(|name| &*one.name == name)).collect();
        if let (true, Some(name)) = (wanted.is_empty(), cluster) {
            let names: BTreeSet<&str> = reader.clusters().iter().map(|one| &*one.name).collect();
            let known = names.into_iter().map(str::to_owned).collect();
            return Err(LedgerBillError::UnknownCluster { name: name.to_owned(), known });
        }
        let mut clusters = Vec::new();
        for cluster in wanted {
            let (name, region) = (cluster.name.clone(), cluster.region.clone());
            let book = Catalog::embedded().price_book(&region);
            let book =
                book.ok_or_else(|| LedgerBillError::UnknownRegion { cluster: name.clone(), region: region.clone() })?;
            let mut history = History::new(range, detail);
            let reading = cluster.read(range, |start, record| history.add(start, record))?;
            clusters.push(ClusterBill { name, region, history: history.bill(&book), reading });
        }
        Ok(LedgerBill { range, clusters })
    }

    /// What everything costs.
    pub fn total(&self) -> NanoUsd {
        self.clusters.iter().map(|cluster| cluster.history.bill.total).sum()
    }

    /// Instance types that were used and have no price in their region: the bill is too low.
    pub fn unpriced_instance_types(&self) -> Vec<String> {
        let types = self.clusters.iter().flat_map(|cluster| &cluster.history.bill.unpriced_instance_types);
        types.cloned().collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// The lines: each usage type once.
    pub fn lines(&self) -> Vec<SummedLine> {
        let mut lines: Vec<SummedLine> = Vec::new();
        for line in self.clusters.iter().flat_map(|cluster| &cluster.history.bill.lines) {
            let known = lines.iter_mut().find(|known| known.usage_type == line.usage_type && known.rate == line.rate);
            match known {
                Some(known) => {
                    known.quantity = known.quantity + line.quantity;
                    known.amount = known.amount + line.amount;
                }
                None => lines.push(SummedLine {
                    usage_type: line.usage_type.clone(),
                    description: line.description.clone(),
                    launch_type: line.launch_type,
                    quantity: line.quantity,
                    unit: line.unit,
                    rate: line.rate,
                    amount: line.amount,
                }),
            }
        }
        lines
    }

    /// What each group costs and used, by its key; the amounts sum to the total. Services of several clusters have the cluster before
    /// their name. Empty by usage type, for which there is [`LedgerBill::lines`].
    ///
    /// # Errors
    /// When it is asked for a tag that no task has.
    pub fn groups(&self, by: &GroupBy) -> Result<BTreeMap<String, CostAndUse>, LedgerBillError> {
        if let GroupBy::Tag(key) = by {
            let known: BTreeSet<&String> =
                self.clusters.iter().flat_map(|cluster| cluster.history.bill.by_tag.keys()).collect();
            if !known.contains(key) {
                let known = known.into_iter().cloned().collect();
                return Err(LedgerBillError::UnknownTag { key: key.clone(), known });
            }
        }
        let mut groups: BTreeMap<String, CostAndUse> = BTreeMap::new();
        for cluster in &self.clusters {
            for (key, cost) in self.groups_of(cluster, by) {
                groups.entry(key).and_modify(|known| *known = plus(known, &cost)).or_insert(cost);
            }
        }
        Ok(groups)
    }

    fn groups_of(&self, cluster: &ClusterBill, by: &GroupBy) -> Vec<(String, CostAndUse)> {
        let bill = &cluster.history.bill;
        let owned = |(key, cost): (&String, &CostAndUse)| (key.clone(), *cost);
        match by {
            GroupBy::Service if self.clusters.len() > 1 => {
                bill.by_service.iter().map(|(key, cost)| (format!("{}/{key}", cluster.name), *cost)).collect()
            }
            GroupBy::Service => bill.by_service.iter().map(owned).collect(),
            GroupBy::TaskDefinition => bill.by_task_definition.iter().map(owned).collect(),
            GroupBy::Tag(key) => match bill.by_tag.get(key) {
                Some(values) => values.iter().map(owned).collect(),
                // A cluster none of whose tasks has the tag.
                None => {
                    whole(cluster).map(|cost| (crate::metering::bill::UNTAGGED.to_owned(), cost)).into_iter().collect()
                }
            },
            GroupBy::LaunchType => {
                let key = |launch_type: &LaunchType| launch_type.as_str().to_owned();
                bill.by_launch_type.iter().map(|(launch_type, cost)| (key(launch_type), *cost)).collect()
            }
            GroupBy::Day => cluster.history.by_day.iter().map(|(day, cost)| (day.to_string(), *cost)).collect(),
            GroupBy::Month => cluster.history.by_day.iter().map(|(day, cost)| (day.month(), *cost)).collect(),
            GroupBy::Cluster => whole(cluster).map(|cost| (cluster.name.to_string(), cost)).into_iter().collect(),
            GroupBy::UsageType => Vec::new(),
        }
    }
}

/// All that a cluster costs and used; `None` when that is nothing.
fn whole(cluster: &ClusterBill) -> Option<CostAndUse> {
    let bill = &cluster.history.bill;
    bill.by_launch_type.values().copied().reduce(|a, b| plus(&a, &b))
}

fn plus(a: &CostAndUse, b: &CostAndUse) -> CostAndUse {
    CostAndUse {
        tasks: a.tasks + b.tasks,
        amount: a.amount + b.amount,
        vcpu_seconds_reserved: a.vcpu_seconds_reserved + b.vcpu_seconds_reserved,
        vcpu_seconds_used: a.vcpu_seconds_used + b.vcpu_seconds_used,
        memory_gb_seconds_reserved: a.memory_gb_seconds_reserved + b.memory_gb_seconds_reserved,
        memory_gb_seconds_used: a.memory_gb_seconds_used + b.memory_gb_seconds_used,
        memory_bytes_peak: a.memory_bytes_peak.max(b.memory_bytes_peak),
        fuel: Fuel(a.fuel.0.saturating_add(b.fuel.0)),
    }
}
