//! What a file of a ledger says, line after line: for whoever reads it and for whoever goes on writing it.

use std::path::Path;

use super::line::{self, FormatOf, Header, References, Said};
use super::reader::LedgerReadError;
use super::{FORMAT, LedgerCluster};
use crate::metering::stretch::LedgerRecord;
use crate::model::calendar::{Day, UnixNanos};

/// Where the reading of a file is.
#[derive(Debug)]
pub(super) struct DayFile {
    /// The day that its times are counted from.
    pub day: Day,
    /// The start of the cluster that the last lines are of, and its seed.
    pub start: Option<(UnixNanos, u64)>,
    pub known: References,
    /// The number of the last record of that start.
    pub last_seq: u64,
    pub checksum: u32,
    /// How many bytes of whole lines it has.
    pub length: u64,
}

impl DayFile {
    /// Reads a file of which `bytes` are all, and tells each record once. `Ok(None)` when not even its first line is whole.
    ///
    /// A line that can't be read ends it, as what the power's failure left, unless something behind it says that it was synced.
    pub fn read(
        path: &Path,
        bytes: &[u8],
        each: &mut dyn FnMut(UnixNanos, &LedgerRecord),
    ) -> Result<Option<DayFile>, LedgerReadError> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let Some(first) = lines.next().and_then(|line| line.strip_suffix(b"\n")) else { return Ok(None) };
        let mut file = DayFile::begin(path, first)?;
        for (number, line) in (2u64..).zip(lines) {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            let before = file.checksum;
            match file.take(text) {
                Ok(Some(record)) => each(file.start.unwrap_or_default().0, &record),
                Ok(None) => {}
                Err(_) if !line::says_synced(&bytes[usize::try_from(file.length).unwrap_or(0)..], file.length) => {
                    file.checksum = before;
                    break;
                }
                Err(problem) => {
                    let (path, offset) = (path.to_owned(), file.length);
                    return Err(LedgerReadError::Corrupt { path, line: number, offset, problem });
                }
            }
            file.length += line.len() as u64;
        }
        Ok(Some(file))
    }

    /// A file that begins.
    pub fn new(cluster: &LedgerCluster, day: Day, buffer: &mut Vec<u8>) -> DayFile {
        let before = buffer.len();
        let checksum = line::append(buffer, &line::header(cluster, day), 0);
        let length = (buffer.len() - before) as u64;
        DayFile { day, start: None, known: References::default(), last_seq: 0, checksum, length }
    }

    fn begin(path: &Path, first: &[u8]) -> Result<DayFile, LedgerReadError> {
        let not_a_ledger = || LedgerReadError::NotALedger { path: path.to_owned() };
        let corrupt = |problem| LedgerReadError::Corrupt { path: path.to_owned(), line: 1, offset: 0, problem };
        let json = first.iter().rposition(|byte| *byte == b'}').map(|end| &first[..=end]).unwrap_or_default();
        let format: FormatOf = serde_json::from_slice(json).map_err(|_| not_a_ledger())?;
        if format.longshore_ledger != FORMAT {
            let (found, written_by) = (format.longshore_ledger, format.written_by);
            return Err(LedgerReadError::UnknownFormat { path: path.to_owned(), found, written_by });
        }
        let (body, checksum) = line::checked(first, 0).map_err(corrupt)?;
        let header: Header = serde_json::from_str(body).map_err(|error| corrupt(error.to_string()))?;
        let day = Day::parse(&header.day).ok_or_else(|| corrupt(format!("{:?} is no day", header.day)))?;
        let length = first.len() as u64 + 1;
        Ok(DayFile { day, start: None, known: References::default(), last_seq: 0, checksum, length })
    }

    /// Takes in a line; or says what is wrong with it.
    fn take(&mut self, line: &[u8]) -> Result<Option<LedgerRecord>, String> {
        let (body, checksum) = line::checked(line, self.checksum)?;
        self.checksum = checksum;
        match line::said(body, self.day, &self.known)? {
            Said::Start(start, seed) => self.begin_start(start, seed),
            Said::Whom(number, identity) => {
                if usize::try_from(number) != Ok(self.known.whoms.len()) {
                    return Err(format!("whom {number} is out of turn"));
                }
                self.known.whoms.push(identity);
            }
            Said::Host(instance, host) => {
                self.known.hosts.insert(instance, host);
            }
            Said::Record(_) if self.start.is_none() => return Err("a record comes before its cluster's start".into()),
            Said::Record(record) if record.seq > self.last_seq => {
                self.last_seq = record.seq;
                return Ok(Some(record));
            }
            // It was written twice.
            Said::Record(_) | Said::Synced => {}
        }
        Ok(None)
    }

    /// What follows is of a cluster that started then.
    pub fn begin_start(&mut self, start: UnixNanos, seed: u64) {
        self.start = Some((start, seed));
        self.known = References::default();
        self.last_seq = 0;
    }
}
