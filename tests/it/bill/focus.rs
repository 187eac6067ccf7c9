//! The export: each row keeps the rules of FOCUS 1.2 for the columns that it has, and the rows sum to the bill.

use std::collections::BTreeMap;

use longshore::driver::ledger::focus::COLUMNS;
use serde_json::Value;

use super::{TWO_DAYS, bill, nanos, simulated};
use crate::command_line::{cluster_file, output};

type Row = BTreeMap<String, String>;

/// Reads CSV as RFC 4180 has it.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    assert!(row.is_empty() && cell.is_empty(), "a file ends with its last row");
    rows
}

/// A decimal number in FOCUS' numeric format, in 10^-12.
#[track_caller]
fn decimal(text: &str) -> i128 {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    assert!(!whole.is_empty() && decimals.len() <= 12 && !text.starts_with('+'), "{text} is no number");
    format!("{whole}{decimals:0<12}").parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

/// **Source:** FOCUS 1.2, the requirements of each column for charges of category Usage that are no corrections.
#[track_caller]
fn check_row(row: &Row) {
    let cell = |column: &str| row[column].as_str();
    for column in [
        "BilledCost",
        "BillingAccountId",
        "BillingAccountName",
        "BillingAccountType",
        "BillingCurrency",
        "BillingPeriodEnd",
        "BillingPeriodStart",
        "ChargeCategory",
        "ChargeDescription",
        "ChargeFrequency",
        "ChargePeriodEnd",
        "ChargePeriodStart",
        "ConsumedQuantity",
        "ConsumedUnit",
        "ContractedCost",
        "ContractedUnitPrice",
        "EffectiveCost",
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
        "ServiceCategory",
        "ServiceName",
        "ServiceSubcategory",
        "SkuId",
        "SkuMeter",
        "SkuPriceId",
        "SubAccountId",
        "SubAccountName",
        "SubAccountType",
        "x_Operation",
        "x_ServiceCode",
        "x_UsageType",
    ] {
        assert!(!cell(column).is_empty(), "{column} is null: {row:#?}");
    }
    for column in [
        "CapacityReservationId",
        "CapacityReservationStatus",
        "ChargeClass",
        "CommitmentDiscountCategory",
        "CommitmentDiscountId",
        "CommitmentDiscountName",
        "CommitmentDiscountQuantity",
        "CommitmentDiscountStatus",
        "CommitmentDiscountType",
        "CommitmentDiscountUnit",
        "InvoiceId",
    ] {
        assert!(cell(column).is_empty(), "{column} has a value: {row:#?}");
    }
    for (column, allowed) in [
        ("ChargeCategory", &["Usage"][..]),
        ("ChargeFrequency", &["Usage-Based"]),
        ("PricingCategory", &["Standard", "Dynamic"]),
        ("BillingCurrency", &["USD"]),
        ("PricingCurrency", &["USD"]),
        ("ServiceCategory", &["Compute"]),
        ("ServiceSubcategory", &["Containers", "Virtual Machines"]),
        ("PricingUnit", &["vCPU-Hours", "GB-Hours", "Hours"]),
        ("x_ServiceCode", &["AmazonECS", "AmazonEC2"]),
    ] {
        assert!(allowed.contains(&cell(column)), "{column}: {row:#?}");
    }
    for text in row.values() {
        assert_eq!(text.trim(), text, "{row:#?}");
    }
    let times = ["BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd"].map(cell);
    assert!(times.iter().all(|time| is_time(time)), "{row:#?}");
    let moments = times.map(|time| time.parse::<jiff::Timestamp>().unwrap());
    assert!(moments[0] <= moments[1] && moments[1] < moments[2] && moments[2] <= moments[3], "{row:#?}");
    let cost = decimal(cell("BilledCost"));
    for column in ["ContractedCost", "EffectiveCost", "ListCost", "PricingCurrencyEffectiveCost"] {
        assert_eq!(decimal(cell(column)), cost);
    }
    let (price, quantity) = (decimal(cell("ContractedUnitPrice")), decimal(cell("PricingQuantity")));
    assert!(price >= 0 && quantity > 0, "{row:#?}");
    assert_eq!(decimal(cell("ListUnitPrice")), price);
    assert_eq!((cell("ConsumedQuantity"), cell("ConsumedUnit")), (cell("PricingQuantity"), cell("PricingUnit")));
    // Price times quantity is the cost, within the nano-dollar to which each part of a line is rounded.
    let product = price * quantity / 1_000_000_000_000;
    assert!((product - cost).abs() <= 1_500, "{product} is not {cost}: {row:#?}");
    assert_eq!(cell("ResourceId").is_empty(), cell("ResourceType").is_empty());
    assert!(cell("ResourceName").is_empty() || !cell("ResourceId").is_empty());
    assert!(cell("ResourceId").starts_with("arn:aws:"), "{row:#?}");
    assert_ne!(cell("ResourceName"), cell("ResourceId"));
    for column in ["Tags", "SkuPriceDetails"] {
        if !cell(column).is_empty() {
            let object: BTreeMap<String, Value> =
                serde_json::from_str(cell(column)).expect("an object of keys and values");
            assert!(object.values().all(|value| !value.is_object() && !value.is_array()), "{row:#?}");
        }
    }
}

/// Each row keeps the rules; by usage type, by day and in all they sum to the bill; cost by tag can be asked of them.
#[test]
fn rows_keep_the_rules_and_sum_to_the_bill() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    simulated(folder.path(), &cluster_file(folder.path(), TWO_DAYS), &["--for", "40h"]);
    let data_dir = folder.path().to_str().expect("a path of text");
    let exported = output(&["bill", "--data-dir", data_dir, "--format", "focus"]);
    assert!(exported.status.success());
    let mut table = rows(&String::from_utf8(exported.stdout).expect("text")).into_iter();
    let columns = table.next().expect("a line of column names");
    assert_eq!(columns, COLUMNS);
    let rows: Vec<Row> = table
        .map(|row| {
            assert_eq!(row.len(), columns.len(), "{row:?}");
            columns.iter().cloned().zip(row).collect()
        })
        .collect();
    rows.iter().for_each(check_row);

    // One SKU has one service, and a price of a SKU belongs to one SKU.
    let mut sku_of_price: BTreeMap<&str, &str> = BTreeMap::new();
    for row in &rows {
        let sku = sku_of_price.entry(&row["SkuPriceId"]).or_insert(&row["SkuId"]);
        assert_eq!(*sku, row["SkuId"]);
    }
    assert_eq!(sku_of_price["USE1-SpotUsage-Fargate-GB-Hours"], "USE1-Fargate-GB-Hours");

    let sums = |column: &str| {
        let mut sums: BTreeMap<String, i128> = BTreeMap::new();
        for row in &rows {
            *sums.entry(row[column].clone()).or_default() += decimal(&row["BilledCost"]) / 1_000;
        }
        sums
    };
    let amounts = |by: &str| -> BTreeMap<String, i128> {
        let bill = bill(folder.path(), &["--group-by", by]);
        let groups = bill["groups"].as_array().expect("groups").clone();
        groups.iter().map(|group| (group["key"].as_str().unwrap().to_owned(), nanos(&group["amount"]))).collect()
    };
    assert_eq!(sums("x_UsageType"), amounts("usage-type"));
    let by_day: BTreeMap<String, i128> =
        sums("ChargePeriodStart").into_iter().map(|(time, sum)| (time[..10].to_owned(), sum)).collect();
    assert_eq!(by_day, amounts("day"));
    let by_service = amounts("service");
    for (service, sum) in sums("x_EcsServiceName") {
        if !service.is_empty() {
            assert_eq!(sum, by_service[&service], "{service}");
        }
    }
    let front: i128 =
        sums("Tags").into_iter().filter(|(tags, _)| tags.contains("\"team\":\"front\"")).map(|(_, sum)| sum).sum();
    assert_eq!(front, amounts("tag:team")["front"]);
    assert_eq!(sums("BillingPeriodStart").keys().collect::<Vec<_>>(), ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"]);
    assert!(
        rows.iter().any(|row| row["ResourceId"].contains(":instance/i-") && row["AvailabilityZone"] == "us-east-1b")
    );
}
