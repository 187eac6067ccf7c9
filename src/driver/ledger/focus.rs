//! A bill in the form of FOCUS, the FinOps Open Cost and Usage Specification: one row for each usage type, day, resource and whom it is put down to.
//!
//! **Source:** FOCUS 1.2, columns and attributes; columns that begin with `x_` as in AWS' data export of FOCUS, and four of our own.
//! Each column of 1.0 is among them. *Ours:*
//! - A row of an EC2 instance is the part of it that one group of tasks reserved, with that group's tags; what nobody reserved is a row without tags.
//! - The resource of Fargate tasks is their service, or their task definition where they have none.
//! - List, contracted, billed and effective cost are the same: the catalog knows no discounts. A SKU is known by its on-demand usage type, its price by its
//!   usage type.
//! - Costs are whole nano-dollars that sum to the bill, and quantities are rounded to 10^-12 of their unit: price times quantity is within a nano-dollar
//!   of the cost.

use std::io::{self, Write};

use super::bill::{ClusterBill, LedgerBill};
use crate::driver::csv;
use crate::metering::bill::{BillLine, BillUnit};
use crate::metering::history::{Charge, ChargedInstance};
use crate::metering::quantity::Quantity;
use crate::metering::stretch::Span;
use crate::model::arn::{ACCOUNT, ArnForm};
use crate::model::ids::IdForm;
use crate::model::task_definition::LaunchType;
use crate::model::units::NanoUsd;
use crate::model::usage::PurchaseOption;

/// The name of the account, which FOCUS asks for beside its number.
const ACCOUNT_NAME: &str = "longshore";

/// The columns, in their order: FOCUS' own by name, then the others.
pub const COLUMNS: [&str; 64] = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_CapacityProvider",
    "x_ClusterName",
    "x_EcsServiceName",
    "x_Operation",
    "x_ServiceCode",
    "x_TaskDefinition",
    "x_UsageType",
];

/// Writes a bill that tells days and instances apart, as CSV with a line of column names. A column without a value is empty.
///
/// # Errors
/// When it can't be written.
pub fn write(bill: &LedgerBill, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for cluster in &bill.clusters {
        let mut charges: Vec<&Charge> = cluster.history.charges.iter().collect();
        charges.sort_by_key(|charge| (charge.day, charge.line));
        for charge in charges {
            let row = row(cluster, bill.range, charge);
            let cells: Vec<_> = row.iter().map(|cell| csv::cell(cell.as_deref().unwrap_or_default())).collect();
            writeln!(out, "{}", cells.join(","))?;
        }
    }
    Ok(())
}

/// What a charge is for.
struct Service {
    name: &'static str,
    subcategory: &'static str,
    code: &'static str,
    operation: &'static str,
}

/// **Source:** AWS' price lists, of AmazonECS and AmazonEC2: service codes and operations; FOCUS 1.2, ServiceSubcategory.
fn service_of(line: &BillLine) -> Service {
    let (name, subcategory, code) = if is_of_instance(line) {
        ("Amazon Elastic Compute Cloud", "Virtual Machines", "AmazonEC2")
    } else {
        ("Amazon Elastic Container Service", "Containers", "AmazonECS")
    };
    let operation = match (line.launch_type, is_of_instance(line), line.purchase_option) {
        (LaunchType::Fargate, ..) => "FargateTask",
        (_, false, _) => "ECSTask-EC2",
        (_, true, PurchaseOption::OnDemand) => "RunInstances",
        (_, true, PurchaseOption::Spot) => "RunInstances:SV001",
    };
    Service { name, subcategory, code, operation }
}

/// Whether a line is about instances, and not about what tasks reserved on them.
fn is_of_instance(line: &BillLine) -> bool {
    line.launch_type == LaunchType::Ec2 && !line.usage_type.contains("-ECS-EC2-")
}

/// What a charge is a charge for.
struct Resource {
    id: String,
    name: Option<String>,
    kind: &'static str,
}

fn resource_of(cluster: &ClusterBill, line: &BillLine, charge: &Charge) -> Option<Resource> {
    let seed = |instance: &ChargedInstance| cluster.reading.seeds.get(&instance.cluster_start).copied();
    let ids = IdForm { seed: charge.instance.as_ref().and_then(seed).unwrap_or_default() };
    let arns = ArnForm { cluster: cluster.name.clone(), region: cluster.region.clone(), ids };
    if is_of_instance(line) {
        let instance = charge.instance.as_ref()?;
        let id = format!("arn:aws:ec2:{}:{ACCOUNT}:instance/{}", cluster.region, ids.ec2_instance(instance.id));
        return Some(Resource { id, name: None, kind: "Instance" });
    }
    let identity = charge.identity.as_ref()?;
    Some(match &identity.service {
        Some(service) => Resource { id: arns.service(service), name: Some(service.to_string()), kind: "Service" },
        None => Resource {
            id: arns.task_definition(&identity.task_definition),
            name: Some(identity.task_definition.to_string()),
            kind: "Task Definition",
        },
    })
}

/// The cells of a row, `None` for one without a value.
fn row(cluster: &ClusterBill, range: Span, charge: &Charge) -> Vec<Option<String>> {
    let line = &cluster.history.bill.lines[charge.line];
    let service = service_of(line);
    let resource = resource_of(cluster, line, charge);
    let host = charge.instance.as_ref().and_then(|instance| instance.host.as_deref());
    let [month, next_month] = charge.day.month_bounds();
    let (cost, price, quantity) = (charge.amount.to_string(), line.rate.to_string(), decimal(charge.quantity));
    let unit = unit(line.unit).to_owned();
    let sku = line.usage_type.replace("-SpotUsage-", "-").replace("SpotUsage:", "BoxUsage:");
    let capacity_provider = match (&charge.identity, host) {
        (_, Some(host)) => host.capacity_provider.as_deref(),
        (Some(_), None) if line.launch_type == LaunchType::Fargate => Some(match line.purchase_option {
            PurchaseOption::OnDemand => "FARGATE",
            PurchaseOption::Spot => "FARGATE_SPOT",
        }),
        (_, None) => charge.capacity_provider.as_deref(),
    };
    let text = |text: &str| Some(text.to_owned());
    let cell = |column: &str| match column {
        "AvailabilityZone" => host.map(|host| host.availability_zone.to_string()).filter(|zone| !zone.is_empty()),
        "BilledCost" | "ContractedCost" | "EffectiveCost" | "ListCost" | "PricingCurrencyEffectiveCost" => text(&cost),
        "BillingAccountId" | "SubAccountId" => text(ACCOUNT),
        "BillingAccountName" | "SubAccountName" => text(ACCOUNT_NAME),
        "BillingAccountType" | "SubAccountType" => text("Account"),
        "BillingCurrency" | "PricingCurrency" => text("USD"),
        "BillingPeriodStart" => Some(month.start().to_string()),
        "BillingPeriodEnd" => Some(next_month.start().to_string()),
        "ChargeCategory" => text("Usage"),
        "ChargeDescription" => Some(description(line)),
        "ChargeFrequency" => text("Usage-Based"),
        "ChargePeriodStart" => Some(charge.day.start().max(range.from).to_string()),
        "ChargePeriodEnd" => Some(charge.day.end().min(range.to).to_string()),
        "ConsumedQuantity" | "PricingQuantity" => text(&quantity),
        "ConsumedUnit" | "PricingUnit" => text(&unit),
        "ContractedUnitPrice"
        | "ListUnitPrice"
        | "PricingCurrencyContractedUnitPrice"
        | "PricingCurrencyListUnitPrice" => text(&price),
        // No AWS invoice has this: who made it is to be seen.
        "InvoiceIssuerName" => text("Longshore"),
        "PricingCategory" => text(match line.purchase_option {
            PurchaseOption::OnDemand => "Standard",
            PurchaseOption::Spot => "Dynamic",
        }),
        "ProviderName" | "PublisherName" => text("AWS"),
        "RegionId" => text(&cluster.region),
        "RegionName" => text(region_name(&cluster.region)),
        "ResourceId" => resource.as_ref().map(|resource| resource.id.clone()),
        "ResourceName" => resource.as_ref().and_then(|resource| resource.name.clone()),
        "ResourceType" => resource.as_ref().map(|resource| resource.kind.to_owned()),
        "ServiceCategory" => text("Compute"),
        "ServiceName" => text(service.name),
        "ServiceSubcategory" => text(service.subcategory),
        "SkuId" | "SkuMeter" => text(&sku),
        "SkuPriceDetails" => is_of_instance(line).then(|| price_details(line, host)).flatten(),
        "SkuPriceId" | "x_UsageType" => text(&line.usage_type),
        "Tags" => charge.identity.as_ref().map(|identity| &identity.tags).filter(|tags| !tags.is_empty()).map(json),
        "x_CapacityProvider" => capacity_provider.map(str::to_owned),
        "x_ClusterName" => text(&cluster.name),
        "x_EcsServiceName" => {
            charge.identity.as_ref().and_then(|identity| identity.service.as_deref()).map(str::to_owned)
        }
        "x_Operation" => text(service.operation),
        "x_ServiceCode" => text(service.code),
        "x_TaskDefinition" => charge.identity.as_ref().map(|identity| identity.task_definition.to_string()),
        // Capacity reservations, commitments, corrections and invoices: there are none.
        _ => None,
    };
    COLUMNS.iter().map(|column| cell(column)).collect()
}

fn description(line: &BillLine) -> String {
    match line.rate {
        NanoUsd(0) => line.description.clone(),
        rate => format!("${rate} per {}: {}", line.unit, line.description),
    }
}

/// **Source:** FOCUS 1.2, SkuPriceDetails.
fn price_details(line: &BillLine, host: Option<&crate::metering::stretch::Host>) -> Option<String> {
    // Surplus credits have one price for a family of types.
    let instance_type = &host.filter(|_| line.unit == BillUnit::Hours)?.instance_type;
    let memory = decimal(Quantity::new(instance_type.memory.0.into(), 1024));
    let memory: serde_json::Value = serde_json::from_str(&memory).expect("a decimal number is one in JSON");
    let details = serde_json::json!({
        "CoreCount": instance_type.vcpus,
        "InstanceType": instance_type.name,
        "MemorySize": memory,
        "OperatingSystem": "Linux",
    });
    Some(details.to_string())
}

fn json(tags: &std::collections::BTreeMap<String, String>) -> String {
    serde_json::to_string(tags).expect("tags are text")
}

/// **Source:** FOCUS 1.2, unit format.
fn unit(unit: BillUnit) -> &'static str {
    match unit {
        BillUnit::VcpuHours => "vCPU-Hours",
        BillUnit::GbHours => "GB-Hours",
        BillUnit::Hours => "Hours",
    }
}

/// A decimal number without zeros at its end.
fn decimal(quantity: Quantity) -> String {
    let text = format!("{quantity:.12}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The names of the regions that the catalog has. **Source:** EC2 user guide, regions and zones.
fn region_name(region: &str) -> &str {
    match region {
        "us-east-1" => "US East (N. Virginia)",
        "us-west-2" => "US West (Oregon)",
        "eu-west-1" => "Europe (Ireland)",
        "eu-central-1" => "Europe (Frankfurt)",
        "ap-southeast-1" => "Asia Pacific (Singapore)",
        "ap-northeast-1" => "Asia Pacific (Tokyo)",
        other => other,
    }
}
