//! The files that a script sees: the folders that were mounted, and around them a file system in memory, as a container has one of
//! its own that goes with it.
//!
//! What is in memory counts against the task's memory limit like everything else that the guest holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

/// Folders that scripts for the images that this one stands for expect.
const FOLDERS: [&str; 16] = [
    "/bin",
    "/dev",
    "/etc",
    "/home",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/usr/bin",
    "/usr/local/bin",
    "/usr/local/apache2/htdocs",
    "/usr/share/nginx/html",
    "/var/lib",
    "/var/log",
    "/var/www/html",
];

/// The contents of a file in memory.
type Contents = Rc<RefCell<Vec<u8>>>;

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File(Contents),
}

/// All files, by absolute path.
#[derive(Clone, Debug)]
pub struct Files {
    nodes: Rc<RefCell<BTreeMap<String, Node>>>,
    /// Folders of the host, by the path under which the guest sees them.
    mounts: Rc<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    Truncate,
    Append,
}

/// A file that is open.
#[derive(Debug)]
pub enum OpenFile {
    Null,
    /// In memory, read from or written at an offset.
    Memory {
        contents: Contents,
        at: usize,
    },
    Host(std::fs::File),
}

impl OpenFile {
    pub fn text(text: Vec<u8>) -> OpenFile {
        OpenFile::Memory { contents: Rc::new(RefCell::new(text)), at: 0 }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            OpenFile::Null => Ok(0),
            OpenFile::Memory { contents, at } => {
                let contents = contents.borrow();
                let rest = contents.get(*at..).unwrap_or_default();
                let len = rest.len().min(buffer.len());
                buffer[..len].copy_from_slice(&rest[..len]);
                *at += len;
                Ok(len)
            }
            OpenFile::Host(file) => file.read(buffer),
        }
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            OpenFile::Null => Ok(()),
            OpenFile::Memory { contents, at } => {
                let mut contents = contents.borrow_mut();
                if *at > contents.len() {
                    contents.resize(*at, 0);
                }
                let overlap = (contents.len() - *at).min(bytes.len());
                contents[*at..*at + overlap].copy_from_slice(&bytes[..overlap]);
                contents.extend_from_slice(&bytes[overlap..]);
                *at += bytes.len();
                Ok(())
            }
            OpenFile::Host(file) => file.write_all(bytes),
        }
    }
}

fn error(kind: ErrorKind) -> io::Error {
    io::Error::from(kind)
}

/// What a failure is called by the tools that this stands for.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "No such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "Permission denied".to_owned(),
        ErrorKind::AlreadyExists => "File exists".to_owned(),
        ErrorKind::IsADirectory => "Is a directory".to_owned(),
        ErrorKind::NotADirectory => "Not a directory".to_owned(),
        ErrorKind::DirectoryNotEmpty => "Directory not empty".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "Read-only file system".to_owned(),
        _ => error.to_string(),
    }
}

impl Files {
    pub fn new() -> Files {
        let mut nodes = BTreeMap::new();
        nodes.insert("/".to_owned(), Node::Folder);
        let files = Files { nodes: Rc::new(RefCell::new(nodes)), mounts: Rc::new(mounts()) };
        for folder in FOLDERS.into_iter().map(str::to_owned).chain(files.mounts.iter().cloned()) {
            files.add_folders(&folder);
        }
        for (path, text) in [("/etc/hostname", "localhost\n"), ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")] {
            let contents = Rc::new(RefCell::new(text.as_bytes().to_vec()));
            files.nodes.borrow_mut().insert(path.to_owned(), Node::File(contents));
        }
        files
    }

    fn add_folders(&self, path: &str) {
        let mut nodes = self.nodes.borrow_mut();
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            nodes.entry(path[..end].to_owned()).or_insert(Node::Folder);
        }
    }

    /// Whether a path is in a folder of the host, or is one.
    fn is_mounted(&self, path: &str) -> bool {
        self.mounts.iter().any(|mount| {
            mount == "/"
                || path.strip_prefix(mount.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    pub fn kind(&self, path: &str) -> Option<Kind> {
        if self.is_mounted(path) {
            let metadata = std::fs::metadata(path).ok()?;
            return Some(if metadata.is_dir() { Kind::Folder } else { Kind::File });
        }
        if DEVICES.contains(&path) {
            return Some(Kind::File);
        }
        match self.nodes.borrow().get(path)? {
            Node::Folder => Some(Kind::Folder),
            Node::File(_) => Some(Kind::File),
        }
    }

    /// How many bytes a file has.
    pub fn len(&self, path: &str) -> Option<u64> {
        if self.is_mounted(path) {
            return std::fs::metadata(path).ok().map(|metadata| metadata.len());
        }
        match self.nodes.borrow().get(path) {
            Some(Node::File(contents)) => u64::try_from(contents.borrow().len()).ok(),
            Some(Node::Folder) => Some(4096),
            None => DEVICES.contains(&path).then_some(0),
        }
    }

    pub fn open(&self, path: &str) -> io::Result<OpenFile> {
        match self.kind(path) {
            None => Err(error(ErrorKind::NotFound)),
            Some(Kind::Folder) => Err(error(ErrorKind::IsADirectory)),
            Some(Kind::File) if self.is_mounted(path) => Ok(OpenFile::Host(std::fs::File::open(path)?)),
            Some(Kind::File) => match self.nodes.borrow().get(path) {
                Some(Node::File(contents)) => Ok(OpenFile::Memory { contents: contents.clone(), at: 0 }),
                _ => Ok(OpenFile::Null),
            },
        }
    }

    /// All of a file.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut file = self.open(path)?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(bytes),
                len => bytes.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// Opens a file for writing, which is made when it is not there.
    pub fn create(&self, path: &str, mode: WriteMode) -> io::Result<OpenFile> {
        if self.is_mounted(path) {
            let mut options = OpenOptions::new();
            options.create(true).write(true);
            let mut file = match mode {
                WriteMode::Truncate => options.truncate(true).open(path)?,
                WriteMode::Append => options.open(path)?,
            };
            if mode == WriteMode::Append {
                file.seek(SeekFrom::End(0))?;
            }
            return Ok(OpenFile::Host(file));
        }
        if DEVICES.contains(&path) {
            return Ok(OpenFile::Null);
        }
        self.need_parent(path)?;
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.entry(path.to_owned()).or_insert_with(|| Node::File(Contents::default()));
        let Node::File(contents) = node else { return Err(error(ErrorKind::IsADirectory)) };
        if mode == WriteMode::Truncate {
            contents.borrow_mut().clear();
        }
        let at = contents.borrow().len();
        Ok(OpenFile::Memory { contents: contents.clone(), at })
    }

    fn need_parent(&self, path: &str) -> io::Result<()> {
        match self.kind(parent(path)) {
            Some(Kind::Folder) => Ok(()),
            Some(Kind::File) => Err(error(ErrorKind::NotADirectory)),
            None => Err(error(ErrorKind::NotFound)),
        }
    }

    pub fn make_folder(&self, path: &str) -> io::Result<()> {
        if self.kind(path).is_some() {
            return Err(error(ErrorKind::AlreadyExists));
        }
        if self.is_mounted(path) {
            return std::fs::create_dir(path);
        }
        self.need_parent(path)?;
        self.nodes.borrow_mut().insert(path.to_owned(), Node::Folder);
        Ok(())
    }

    pub fn remove_file(&self, path: &str) -> io::Result<()> {
        match self.kind(path) {
            None => Err(error(ErrorKind::NotFound)),
            Some(Kind::Folder) => Err(error(ErrorKind::IsADirectory)),
            Some(Kind::File) if self.is_mounted(path) => std::fs::remove_file(path),
            Some(Kind::File) => {
                self.nodes.borrow_mut().remove(path);
                Ok(())
            }
        }
    }

    /// Removes an empty folder.
    pub fn remove_folder(&self, path: &str) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(error(ErrorKind::DirectoryNotEmpty));
        }
        if self.is_mounted(path) {
            return std::fs::remove_dir(path);
        }
        self.nodes.borrow_mut().remove(path);
        Ok(())
    }

    /// The names in a folder, in order.
    pub fn list(&self, path: &str) -> io::Result<Vec<String>> {
        match self.kind(path) {
            None => return Err(error(ErrorKind::NotFound)),
            Some(Kind::File) => return Err(error(ErrorKind::NotADirectory)),
            Some(Kind::Folder) => {}
        }
        let mut names = Vec::new();
        if self.is_mounted(path) {
            for entry in std::fs::read_dir(path)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
        } else {
            let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
            let nodes = self.nodes.borrow();
            let within = nodes.range(prefix.clone()..).map(|(path, _)| path);
            let within = within.map_while(|path| path.strip_prefix(&prefix));
            names.extend(within.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }
}

/// What can be written to and holds nothing.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/tty"];

/// The folder that a path is in.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(end) => &path[..end],
    }
}

/// A path from a folder, absolute and without `.` and `..`.
pub fn absolute(folder: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folders that the host has opened for this guest.
#[cfg(target_os = "wasi")]
fn mounts() -> Vec<String> {
    #[repr(C)]
    struct Prestat {
        tag: u8,
        name_len: usize,
    }
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn fd_prestat_get(descriptor: i32, prestat: *mut Prestat) -> i32;
        fn fd_prestat_dir_name(descriptor: i32, name: *mut u8, name_len: usize) -> i32;
    }
    let mut found = Vec::new();
    for descriptor in 3.. {
        let mut prestat = Prestat { tag: 0, name_len: 0 };
        // SAFETY: the host writes a prestat of the layout that preview 1 defines: a tag, and the length of a name.
        if unsafe { fd_prestat_get(descriptor, &mut prestat) } != 0 {
            break;
        }
        let mut name = vec![0; prestat.name_len];
        // SAFETY: the host writes at most as many bytes as it is told that there is room for.
        if unsafe { fd_prestat_dir_name(descriptor, name.as_mut_ptr(), name.len()) } == 0 {
            found.push(absolute("/", &String::from_utf8_lossy(&name)));
        }
    }
    found
}

#[cfg(not(target_os = "wasi"))]
fn mounts() -> Vec<String> {
    Vec::new()
}
