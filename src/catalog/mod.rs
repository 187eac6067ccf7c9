//! What AWS offers and what it costs: instance types, Fargate sizes, rates by region. Data with lookups, and nothing else.
//!
//! The data is embedded text (`data/`, with its sources), parsed at the first look-up into an immutable table. It makes no
//! decision: [`crate::metering`] computes bills from the price books that this module hands out. A malformed row is our
//! bug and panics with the row; a test reads every row.

use std::sync::{Arc, OnceLock};

use crate::metering::price::{FargateRate, FargateRates, PriceBook, SurplusRates};
use crate::model::capacity::{InstanceDevices, InstanceType};
use crate::model::cpu_credits::{Burst, BurstFamily, CPU_CREDIT};
use crate::model::fargate_size::{FargateSize, fargate_sizes};
use crate::model::task_definition::CpuArchitecture;
use crate::model::units::{MemoryMib, NanoUsd, VcpuNanos};

const INSTANCE_TYPES: &str = include_str!("data/instance_types.csv");
const EC2_PRICES: &str = include_str!("data/ec2_prices.csv");
const REGIONS: &str = include_str!("data/regions.csv");
const CPU_CREDITS: &str = include_str!("data/cpu_credits.csv");

/// The instance types, sizes and rates of one point in time.
#[derive(Debug)]
pub struct Catalog {
    /// By name, ascending.
    instance_types: Vec<Arc<InstanceType>>,
    /// Of the types that a saving is known of.
    spot_saving_percent: Vec<(&'static str, u32)>,
    /// By CPU, ascending.
    fargate_sizes: Vec<FargateSize>,
    /// In the data's order: us-east-1 first.
    regions: Vec<Region>,
    /// A vCPU-hour of surplus CPU credits, the same in every region.
    surplus_rates: SurplusRates,
}

#[derive(Debug)]
struct Region {
    name: &'static str,
    fargate_prefix: &'static str,
    ec2_prefix: &'static str,
    fargate: FargateRates,
    /// Beside `Catalog::instance_types`: the rate per hour, where the region offers the type.
    ec2_hourly: Vec<Option<NanoUsd>>,
}

impl Catalog {
    /// The catalog that this version was built with.
    ///
    /// # Panics
    /// When the embedded data is malformed, which a test excludes.
    pub fn embedded() -> Arc<Catalog> {
        static EMBEDDED: OnceLock<Arc<Catalog>> = OnceLock::new();
        Arc::clone(EMBEDDED.get_or_init(|| Arc::new(Catalog::parse())))
    }

    /// The instance type of this name, as in `m7i.large`.
    pub fn instance_type(&self, name: &str) -> Option<Arc<InstanceType>> {
        self.instance_type_index(name).map(|index| Arc::clone(&self.instance_types[index]))
    }

    /// The names of all instance types, ascending.
    pub fn instance_type_names(&self) -> impl Iterator<Item = &str> {
        self.instance_types.iter().map(|instance_type| instance_type.name.as_str())
    }

    /// The sizes that a Fargate task may have, by CPU, ascending. **Source:** ecs-semantics §8.1.
    pub fn fargate_sizes(&self) -> &[FargateSize] {
        &self.fargate_sizes
    }

    /// The regions that there are rates for; us-east-1 is the first.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.regions.iter().map(|region| region.name)
    }

    /// Every rate of a region; `None` when the catalog does not know the region.
    pub fn price_book(&self, region: &str) -> Option<PriceBook> {
        let region = self.region(region)?;
        let ec2_hourly = self
            .instance_types
            .iter()
            .zip(&region.ec2_hourly)
            .filter_map(|(instance_type, rate)| rate.map(|rate| (Arc::from(instance_type.name.as_str()), rate)))
            .collect();
        let savings = self.spot_saving_percent.iter().map(|(name, percent)| (Arc::from(*name), *percent)).collect();
        Some(PriceBook {
            region: Arc::from(region.name),
            fargate_prefix: Arc::from(region.fargate_prefix),
            ec2_prefix: Arc::from(region.ec2_prefix),
            fargate: region.fargate,
            ec2_hourly: Arc::new(ec2_hourly),
            ec2_spot_saving_percent: Arc::new(savings),
            surplus_rates: self.surplus_rates,
        })
    }

    /// The on-demand rate per hour; `None` when the region or the type is unknown, or the region does not price the type.
    pub fn ec2_rate(&self, region: &str, instance_type: &str) -> Option<NanoUsd> {
        self.region(region)?.ec2_hourly[self.instance_type_index(instance_type)?]
    }

    fn instance_type_index(&self, name: &str) -> Option<usize> {
        self.instance_types.binary_search_by(|instance_type| instance_type.name.as_str().cmp(name)).ok()
    }

    fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }

    fn parse() -> Catalog {
        let instance_types: Vec<Arc<InstanceType>> =
            rows(INSTANCE_TYPES).map(|row| Arc::new(parse_instance_type(row))).collect();
        assert!(instance_types.is_sorted_by(|a, b| a.name < b.name), "instance types are sorted by name, each once");
        let mut regions: Vec<Region> = rows(REGIONS).map(parse_region).collect();
        parse_ec2_prices(&instance_types, &mut regions);
        let spot_saving_percent = rows(INSTANCE_TYPES).filter_map(parse_spot_saving).collect();
        Catalog {
            instance_types,
            spot_saving_percent,
            fargate_sizes: fargate_sizes(),
            regions,
            surplus_rates: parse_surplus_rates(),
        }
    }
}

/// The rows of a file: what follows the comments and the line of column names.
fn rows(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.starts_with('#')).skip(1)
}

/// The next cell of a row.
fn cell<'a>(cells: &mut impl Iterator<Item = &'a str>, row: &str) -> &'a str {
    cells.next().unwrap_or_else(|| panic!("a cell is missing in catalog row {row:?}"))
}

fn parse_integer(text: &str, row: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not an integer in catalog row {row:?}"))
}

fn parse_instance_type(row: &str) -> InstanceType {
    let mut cells = row.split(',');
    InstanceType {
        name: cell(&mut cells, row).to_owned(),
        vcpus: parse_integer(cell(&mut cells, row), row),
        memory: MemoryMib(parse_integer(cell(&mut cells, row), row)),
        architecture: match cell(&mut cells, row) {
            "x86_64" => CpuArchitecture::X86_64,
            "arm64" => CpuArchitecture::Arm64,
            other => panic!("{other:?} is not an architecture in catalog row {row:?}"),
        },
        burst: parse_burst(row),
        devices: parse_devices(row),
    }
}

/// The catalog's fifth column, less the interface that is the instance's own, and its fourteenth.
fn parse_devices(row: &str) -> InstanceDevices {
    let number =
        |column| row.split(',').nth(column).filter(|text| !text.is_empty()).map(|text| parse_integer(text, row));
    InstanceDevices {
        gpus: number(13).unwrap_or(0),
        network_interfaces: number(4).map(|interfaces| interfaces.saturating_sub(1)),
    }
}

/// What a burstable type earns: the catalog's ninth column. The eighth, its baseline, follows from that.
fn parse_burst(row: &str) -> Option<Burst> {
    let text = row.split(',').nth(8).filter(|text| !text.is_empty())?;
    let nano_credits = parse_nanos(text).and_then(|nanos| u64::try_from(nanos).ok());
    let nano_credits =
        nano_credits.unwrap_or_else(|| panic!("{text:?} is no number of credits in catalog row {row:?}"));
    let (name, _) = row.split_once('.')?;
    // A nano-credit is a billionth of a minute of a vCPU.
    Some(Burst {
        family: parse_family(name, row),
        earned_per_hour: VcpuNanos(nano_credits * (CPU_CREDIT.0 / 1_000_000_000)),
    })
}

fn parse_family(name: &str, row: &str) -> BurstFamily {
    let found = BurstFamily::ALL.into_iter().find(|family| family.as_str() == name);
    found.unwrap_or_else(|| panic!("{name:?} is no burstable family in catalog row {row:?}"))
}

fn parse_surplus_rates() -> SurplusRates {
    let of = |family: BurstFamily| {
        let row = rows(CPU_CREDITS).find_map(|row| row.strip_prefix(family.as_str())?.strip_prefix(','));
        let rate = row.and_then(parse_usd);
        rate.unwrap_or_else(|| panic!("the catalog has no rate of surplus credits of {}", family.as_str()))
    };
    SurplusRates {
        t2: of(BurstFamily::T2),
        t3: of(BurstFamily::T3),
        t3a: of(BurstFamily::T3a),
        t4g: of(BurstFamily::T4g),
    }
}

/// What Spot saves, in percent: the catalog's tenth column.
fn parse_spot_saving(row: &'static str) -> Option<(&'static str, u32)> {
    let (name, _) = row.split_once(',')?;
    let percent = row.split(',').nth(9).filter(|text| !text.is_empty())?;
    Some((name, parse_integer(percent, row)))
}

fn parse_region(row: &'static str) -> Region {
    let mut cells = row.split(',');
    let (name, fargate_prefix, ec2_prefix) = (cell(&mut cells, row), cell(&mut cells, row), cell(&mut cells, row));
    let mut rate =
        || parse_usd(cell(&mut cells, row)).unwrap_or_else(|| panic!("a rate is wrong in catalog row {row:?}"));
    let x86_on_demand = FargateRate { vcpu_hour: rate(), gb_hour: rate() };
    let arm_on_demand = FargateRate { vcpu_hour: rate(), gb_hour: rate() };
    let ephemeral_gb_hour = rate();
    let x86_spot = FargateRate { vcpu_hour: rate(), gb_hour: rate() };
    let arm_spot = FargateRate { vcpu_hour: rate(), gb_hour: rate() };
    Region {
        name,
        fargate_prefix,
        ec2_prefix,
        fargate: FargateRates { x86_on_demand, arm_on_demand, x86_spot, arm_spot, ephemeral_gb_hour },
        ec2_hourly: Vec::new(),
    }
}

/// Fills in each region's rates, in the order of the instance types.
fn parse_ec2_prices(instance_types: &[Arc<InstanceType>], regions: &mut [Region]) {
    let columns = EC2_PRICES.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    assert!(
        columns.split(',').skip(1).eq(regions.iter().map(|region| region.name)),
        "ec2_prices.csv has a column for each region, in the order of regions.csv"
    );
    let mut priced = 0;
    for (row, instance_type) in rows(EC2_PRICES).zip(instance_types) {
        let mut cells = row.split(',');
        assert_eq!(cell(&mut cells, row), instance_type.name, "both files list the same types in the same order");
        for region in &mut *regions {
            region.ec2_hourly.push(match cell(&mut cells, row) {
                "" => None,
                text => Some(parse_usd(text).unwrap_or_else(|| panic!("a rate is wrong in catalog row {row:?}"))),
            });
        }
        priced += 1;
    }
    assert_eq!(priced, instance_types.len(), "every type has a row of prices");
}

/// Reads a decimal number of dollars, as in `0.04048`; `None` when it is not one or has more than nine decimals, which
/// would not be a whole number of nano-dollars.
fn parse_usd(text: &str) -> Option<NanoUsd> {
    parse_nanos(text).map(NanoUsd)
}

/// Reads a decimal number as billionths of one; `None` when it is not one or has more than nine decimals.
fn parse_nanos(text: &str) -> Option<i64> {
    let (dollars, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(dollars) || !is_digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let scale = decimals.bytes().skip(1).fold(100_000_000, |scale, _| scale / 10);
    let nanos = dollars.parse::<i64>().ok()?.checked_mul(1_000_000_000)?;
    nanos.checked_add(decimals.parse::<i64>().ok()?.checked_mul(scale)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_without_a_float() {
        assert_eq!(parse_usd("0.04048"), Some(NanoUsd(40_480_000)));
        assert_eq!(parse_usd("12"), Some(NanoUsd(12_000_000_000)));
        assert_eq!(parse_usd("1.000000001"), Some(NanoUsd(1_000_000_001)));
        for wrong in ["", ".", "1.", ".5", "-1", "1.0000000001", "1e3", "1,5"] {
            assert_eq!(parse_usd(wrong), None, "{wrong:?}");
        }
    }

    /// What a burstable type earns is its baseline: of so many percent of each vCPU, 60 minutes an hour. No other type earns anything.
    #[test]
    fn credits_and_baselines_agree() {
        let mut burstable = 0;
        for row in rows(INSTANCE_TYPES) {
            let instance_type = parse_instance_type(row);
            let baseline = row.split(',').nth(7).filter(|text| !text.is_empty());
            assert_eq!(instance_type.burst.is_some(), baseline.is_some(), "{row}");
            let (Some(burst), Some(baseline)) = (instance_type.burst, baseline) else { continue };
            let percent = u64::try_from(parse_nanos(baseline).unwrap()).unwrap();
            // A percent of a vCPU is ten million nanoseconds of work in a second.
            assert_eq!(burst.baseline_per_second().0, percent / 100 * u64::from(instance_type.vcpus), "{row}");
            burstable += 1;
        }
        assert_eq!(burstable, 28);
    }

    /// The columns that no code reads are held to their form here, so that whoever reads them first can trust them.
    #[test]
    fn every_cell_of_the_instance_types_is_of_its_kind() {
        for row in rows(INSTANCE_TYPES) {
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(cells.len(), 14, "{row}");
            let max_eni = parse_integer(cells[4], row);
            assert!(max_eni >= 2, "{row}");
            for cell in [cells[5], cells[6], cells[9], cells[10], cells[11], cells[12], cells[13]] {
                assert!(cell.is_empty() || cell.parse::<u32>().is_ok(), "{row}");
            }
            for cell in [cells[7], cells[8]] {
                assert!(cell.is_empty() || parse_usd(cell).is_some(), "{row}");
            }
            assert!(cells[5].is_empty() || cells[6].is_empty(), "a trunking figure is documented or estimated: {row}");
            assert!(cells[10].is_empty() || parse_integer(cells[10], row) <= 4, "{row}");
        }
    }
}
