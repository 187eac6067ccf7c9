//! The bill of a range of time as one document, for scripts.

use serde::Serialize;

use super::bill::{GroupBy, LedgerBill, LedgerBillError, SummedLine};
use crate::driver::report::{BillLineReport, CostReport, Decimal, cost_report, money, quantity};
use crate::metering::stretch::Span;

/// The document.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LedgerBillDocument {
    /// Inclusive; `None` for the beginning.
    pub from: Option<String>,
    /// Exclusive; `None` for the end.
    pub to: Option<String>,
    pub currency: &'static str,
    pub total: Decimal,
    pub clusters: Vec<ClusterDocument>,
    pub lines: Vec<BillLineReport>,
    pub group_by: String,
    /// By usage type: the lines again.
    pub groups: Vec<GroupDocument>,
    pub unpriced_instance_types: Vec<String>,
}

/// A cluster of the bill.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ClusterDocument {
    pub name: String,
    pub region: String,
    pub total: Decimal,
    /// The first moment of which a record was read.
    pub used_from: Option<String>,
    /// The last one.
    pub used_to: Option<String>,
    /// The checkpoint up to which what has no end is billed.
    pub open_until: Option<String>,
    pub records: u64,
}

/// What one group costs.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names say it")]
pub enum GroupDocument {
    Cost {
        key: String,
        #[serde(flatten)]
        cost: CostReport,
    },
    Line {
        key: String,
        quantity: Decimal,
        unit: &'static str,
        amount: Decimal,
    },
}

impl LedgerBillDocument {
    /// The document of a bill and one of its breakdowns.
    ///
    /// # Errors
    /// As [`LedgerBill::groups`].
    pub fn of(bill: &LedgerBill, by: &GroupBy) -> Result<LedgerBillDocument, LedgerBillError> {
        let lines = bill.lines();
        let groups = match by {
            GroupBy::UsageType => lines
                .iter()
                .map(|line| GroupDocument::Line {
                    key: line.usage_type.clone(),
                    quantity: quantity(line.quantity),
                    unit: line.unit.as_str(),
                    amount: money(line.amount),
                })
                .collect(),
            by => bill
                .groups(by)?
                .into_iter()
                .map(|(key, cost)| GroupDocument::Cost { key, cost: cost_report(&cost) })
                .collect(),
        };
        let Span { from, to } = bill.range;
        Ok(LedgerBillDocument {
            from: (from > Span::EVER.from).then(|| from.to_string()),
            to: (to < Span::EVER.to).then(|| to.to_string()),
            currency: "USD",
            total: money(bill.total()),
            clusters: bill
                .clusters
                .iter()
                .map(|cluster| ClusterDocument {
                    name: cluster.name.to_string(),
                    region: cluster.region.to_string(),
                    total: money(cluster.history.bill.total),
                    used_from: cluster.reading.known.map(|known| known.from.to_string()),
                    used_to: cluster.reading.known.map(|known| known.to.to_string()),
                    open_until: cluster.reading.open_until.map(|until| until.to_string()),
                    records: cluster.reading.records,
                })
                .collect(),
            lines: lines.iter().map(line_document).collect(),
            group_by: by.to_string(),
            groups,
            unpriced_instance_types: bill.unpriced_instance_types(),
        })
    }
}

fn line_document(line: &SummedLine) -> BillLineReport {
    BillLineReport {
        usage_type: line.usage_type.clone(),
        description: line.description.clone(),
        quantity: quantity(line.quantity),
        unit: line.unit.as_str(),
        rate: money(line.rate),
        amount: money(line.amount),
    }
}
