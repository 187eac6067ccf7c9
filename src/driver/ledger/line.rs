//! How a line of a ledger is put together and taken apart. There is one way to write a line, and a line that is not written that way is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FORMAT, LedgerCluster};
use crate::metering::stretch::{Host, LedgerRecord, Stretch, StretchUsage};
use crate::model::calendar::{Day, UnixNanos};
use crate::model::capacity::InstanceType;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task_definition::{CpuArchitecture, TaskDefinition};
use crate::model::units::{CpuUnits, Fuel, MemoryMib, VcpuNanos};
use crate::model::usage::{BilledPlacement, PurchaseOption, TaskIdentity};

/// A space and the hexadecimal digits of a checksum.
const TAIL: usize = 9;
/// What a line begins with that says what was synced.
const SYNCED: &str = "synced";

/// What a file begins with.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub longshore_ledger: u32,
    pub written_by: String,
    pub cluster: String,
    pub region: String,
    pub day: String,
}

/// What every version of the format has in its header.
#[derive(Debug, Deserialize)]
pub(super) struct FormatOf {
    pub longshore_ledger: u32,
    #[serde(default)]
    pub written_by: String,
}

/// Whom a task ran for, as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Whom {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Arc<str>>,
    task_definition: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    cpu: CpuUnits,
    memory: MemoryMib,
    /// Absent on EC2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fargate: Option<OnFargate>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OnFargate {
    purchase_option: PurchaseOption,
    architecture: CpuArchitecture,
    extra_storage_gib: u32,
}

/// An instance, as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct HostLine {
    instance_type: Arc<InstanceType>,
    purchase_option: PurchaseOption,
    availability_zone: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capacity_provider: Option<Arc<str>>,
}

/// What a line says.
pub(super) enum Said {
    Start(UnixNanos, u64),
    Whom(u64, Arc<TaskIdentity>),
    Host(ContainerInstanceId, Arc<Host>),
    Record(LedgerRecord),
    /// All that is before it was synced.
    Synced,
}

/// What lines refer to.
#[derive(Debug, Default)]
pub(super) struct References {
    pub whoms: Vec<Arc<TaskIdentity>>,
    pub hosts: BTreeMap<ContainerInstanceId, Arc<Host>>,
}

pub(super) fn header(cluster: &LedgerCluster, day: Day) -> String {
    json(&Header {
        longshore_ledger: FORMAT,
        written_by: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: cluster.name.to_string(),
        region: cluster.region.to_string(),
        day: day.to_string(),
    })
}

pub(super) fn start(cluster: &LedgerCluster) -> String {
    format!("start {} {}", cluster.started_at.0, cluster.seed)
}

/// Says that so many bytes before it were synced. It has a checksum of its own, so that it can be told where what is before it can't.
pub(super) fn synced(length: u64) -> String {
    let said = format!("{SYNCED} {length}");
    format!("{said} {:08x}", checksum(0, said.as_bytes()))
}

/// Whether something in these bytes says that more than so many bytes of the file were synced.
pub(super) fn says_synced(bytes: &[u8], length: u64) -> bool {
    let starts = bytes.windows(SYNCED.len()).enumerate().filter(|(_, word)| *word == SYNCED.as_bytes());
    starts.map(|(at, _)| &bytes[at..]).any(|rest| {
        let text = rest.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let said = text.and_then(|text| text.split(' ').nth(1)?.parse().ok());
        said.is_some_and(|said: u64| said > length && text.is_some_and(|text| text.starts_with(&synced(said))))
    })
}

/// What a task ran for, as JSON.
pub(super) fn whom(identity: &TaskIdentity) -> String {
    json(&Whom {
        service: identity.service.clone(),
        task_definition: identity.task_definition.to_string(),
        tags: identity.tags.clone(),
        cpu: identity.cpu,
        memory: identity.memory,
        fargate: match identity.placement {
            BilledPlacement::Fargate { purchase_option, architecture, extra_storage_gib } => {
                Some(OnFargate { purchase_option, architecture, extra_storage_gib })
            }
            BilledPlacement::Ec2 { .. } => None,
        },
    })
}

/// What an instance is, as JSON.
pub(super) fn host(host: &Host) -> String {
    json(&HostLine {
        instance_type: Arc::clone(&host.instance_type),
        purchase_option: host.purchase_option,
        availability_zone: Arc::clone(&host.availability_zone),
        capacity_provider: host.capacity_provider.clone(),
    })
}

/// A record in a file of times that begins with `day`; `whom` is the number of what its task ran for.
pub(super) fn record(record: &LedgerRecord, day: Day, whom: usize) -> String {
    let mut text = String::with_capacity(128);
    let seq = record.seq;
    let from = record.from.0 - day.start().0;
    let length = record.to.0 - record.from.0;
    let before = |since: UnixNanos| record.from.0 - since.0;
    let written = match &record.used {
        Stretch::Task { task, since, instance, usage, .. } => {
            let instance = instance.map_or_else(|| "-".to_owned(), |id| id.to_string());
            let (vcpu, memory, fuel) = (usage.vcpu.0, usage.memory_mib_millis, usage.fuel.0);
            let (before, peak) = (before(*since), usage.memory_bytes_peak);
            write!(text, "task {seq} {whom} {instance} {task} {before} {from} {length} {vcpu} {memory} {fuel} {peak}")
        }
        Stretch::Instance { instance, start, since, .. } => {
            write!(text, "instance {seq} {instance} {start} {} {from} {length}", before(*since))
        }
        Stretch::Surplus { instance, charge, surplus, .. } => {
            write!(text, "surplus {seq} {instance} {charge} {from} {}", surplus.0)
        }
    };
    written.expect("memory takes it");
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it is plain data")
}

/// Appends a line with its checksum; `before` is that of the line before. Returns its own.
pub(super) fn append(buffer: &mut Vec<u8>, text: &str, before: u32) -> u32 {
    let checksum = checksum(before, text.as_bytes());
    buffer.extend_from_slice(text.as_bytes());
    buffer.extend_from_slice(format!(" {checksum:08x}\n").as_bytes());
    checksum
}

fn checksum(before: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(bytes);
    hasher.finalize()
}

/// Holds a line without its line feed against its checksum. Returns what stands before it, and the checksum; or what is wrong.
pub(super) fn checked(line: &[u8], before: u32) -> Result<(&str, u32), String> {
    let (body, tail) = line.len().checked_sub(TAIL).map(|length| line.split_at(length)).ok_or("it is too short")?;
    let digits = tail.strip_prefix(b" ").ok_or("it ends without a checksum")?;
    let mut written = 0;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err("it ends without a checksum".into()),
        };
        written = written << 4 | u32::from(value);
    }
    let checksum = checksum(before, body);
    if written != checksum {
        return Err(format!("it says that its checksum is {written:08x}, and it is {checksum:08x}"));
    }
    let body = std::str::from_utf8(body).map_err(|_| "it is no text")?;
    Ok((body, checksum))
}

/// Takes apart what stands before a checksum, in a file of times that begins with `day`; or says what is wrong.
pub(super) fn said(body: &str, day: Day, known: &References) -> Result<Said, String> {
    let (kind, rest) = body.split_once(' ').ok_or("it is one word")?;
    match kind {
        SYNCED => rest
            .split_once(' ')
            .and_then(|(length, _)| length.parse().ok())
            .filter(|length| body == synced(*length))
            .map(|_| Said::Synced)
            .ok_or_else(|| "it does not say what was synced".into()),
        "task" => task(&mut Numbers(rest), day, known).map(Said::Record),
        "instance" => {
            let mut numbers = Numbers(rest);
            let (seq, instance) = (numbers.next()?, ContainerInstanceId(numbers.next()?));
            let start = small(numbers.next()?)?;
            let (since, from, to) = numbers.times(day)?;
            numbers.end()?;
            let host = known_host(known, instance)?;
            Ok(Said::Record(LedgerRecord { seq, from, to, used: Stretch::Instance { instance, host, start, since } }))
        }
        "surplus" => {
            let mut numbers = Numbers(rest);
            let (seq, instance) = (numbers.next()?, ContainerInstanceId(numbers.next()?));
            let charge = small(numbers.next()?)?;
            let at = UnixNanos(sum(day.start().0, numbers.next()?)?);
            let surplus = VcpuNanos(numbers.next()?);
            numbers.end()?;
            let used = Stretch::Surplus { instance, host: known_host(known, instance)?, charge, surplus };
            Ok(Said::Record(LedgerRecord { seq, from: at, to: at, used }))
        }
        "start" => {
            let mut numbers = Numbers(rest);
            let said = Said::Start(UnixNanos(numbers.next()?), numbers.next()?);
            numbers.end()?;
            Ok(said)
        }
        "whom" => {
            let (number, text) = numbered(rest)?;
            let whom: Whom = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(Said::Whom(number, Arc::new(whom.identity()?)))
        }
        "host" => {
            let (number, text) = numbered(rest)?;
            let host: HostLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let HostLine { instance_type, purchase_option, availability_zone, capacity_provider } = host;
            let host = Host { instance_type, purchase_option, availability_zone, capacity_provider };
            Ok(Said::Host(ContainerInstanceId(number), Arc::new(host)))
        }
        _ => Err(format!("{kind:?} is no kind of line")),
    }
}

fn task(numbers: &mut Numbers<'_>, day: Day, known: &References) -> Result<LedgerRecord, String> {
    let (seq, whom) = (numbers.next()?, numbers.next()?);
    let instance = if numbers.skip_dash() { None } else { Some(ContainerInstanceId(numbers.next()?)) };
    let task = TaskId(numbers.next()?);
    let (since, from, to) = numbers.times(day)?;
    let usage = StretchUsage {
        vcpu: VcpuNanos(numbers.next()?),
        memory_mib_millis: numbers.next()?,
        fuel: Fuel(numbers.next()?),
        memory_bytes_peak: numbers.next()?,
    };
    numbers.end()?;
    let identity = usize::try_from(whom).ok().and_then(|whom| known.whoms.get(whom));
    let identity = Arc::clone(identity.ok_or_else(|| format!("whom {whom} is not known"))?);
    if instance.is_none() && matches!(identity.placement, BilledPlacement::Ec2 { .. }) {
        return Err("a task on EC2 is on no instance".into());
    }
    Ok(LedgerRecord { seq, from, to, used: Stretch::Task { task, since, identity, instance, usage } })
}

fn known_host(known: &References, instance: ContainerInstanceId) -> Result<Arc<Host>, String> {
    known.hosts.get(&instance).cloned().ok_or_else(|| format!("host {instance} is not known"))
}

fn numbered(rest: &str) -> Result<(u64, &str), String> {
    let (number, text) = rest.split_once(' ').ok_or("it ends after its number")?;
    Ok((number.parse().map_err(|_| format!("{number:?} is no number"))?, text))
}

fn small(number: u64) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("{number} is too large"))
}

fn sum(a: u64, b: u64) -> Result<u64, String> {
    a.checked_add(b).ok_or_else(|| "a time is beyond the calendar".into())
}

/// Numbers with a space between.
struct Numbers<'a>(&'a str);

impl Numbers<'_> {
    fn next(&mut self) -> Result<u64, String> {
        let mut number: u64 = 0;
        let bytes = self.0.as_bytes();
        let mut length = 0;
        while let Some(digit) = bytes.get(length).filter(|byte| byte.is_ascii_digit()) {
            let shifted = number.checked_mul(10).and_then(|shifted| shifted.checked_add(u64::from(digit - b'0')));
            number = shifted.ok_or("a number is too large")?;
            length += 1;
        }
        match bytes.get(length) {
            Some(b' ') if length > 0 => self.0 = &self.0[length + 1..],
            None if length > 0 => self.0 = "",
            _ => return Err("a number is missing".into()),
        }
        Ok(number)
    }

    fn skip_dash(&mut self) -> bool {
        let rest = self.0.strip_prefix("- ");
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// When it began, and the begin and the end of its stretch.
    fn times(&mut self, day: Day) -> Result<(UnixNanos, UnixNanos, UnixNanos), String> {
        let (before, from, length) = (self.next()?, self.next()?, self.next()?);
        let from = sum(day.start().0, from)?;
        let since = from.checked_sub(before).ok_or("it began before the calendar")?;
        Ok((UnixNanos(since), UnixNanos(from), UnixNanos(sum(from, length)?)))
    }

    fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err("it has too many numbers".into()) }
    }
}

impl Whom {
    fn identity(self) -> Result<TaskIdentity, String> {
        let task_definition = TaskDefinition::named(&self.task_definition)
            .ok_or_else(|| format!("{:?} is no task definition", self.task_definition))?;
        Ok(TaskIdentity {
            service: self.service,
            task_definition: Arc::new(task_definition),
            tags: self.tags,
            placement: match self.fargate {
                Some(OnFargate { purchase_option, architecture, extra_storage_gib }) => {
                    BilledPlacement::Fargate { purchase_option, architecture, extra_storage_gib }
                }
                // Which instance it is, each record says.
                None => BilledPlacement::Ec2 { instance: ContainerInstanceId(0) },
            },
            cpu: self.cpu,
            memory: self.memory,
        })
    }
}
