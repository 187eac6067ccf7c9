//! Tools that make, list and remove files.

use crate::files::{self, Kind, WriteMode};
use crate::shell::{Run, Shell};
use crate::text_tools::options;

pub fn ls(shell: &Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let targets = if names.is_empty() { vec![".".to_owned()] } else { names };
    let mut status = 0;
    let shows_folders = targets.len() > 1;
    for (index, target) in targets.iter().enumerate() {
        let path = shell.path(target);
        match shell.files.kind(&path) {
            None => status = shell.fail("ls", &format!("{target}: No such file or directory"))?,
            Some(Kind::Folder) if !letters.contains('d') => {
                if shows_folders {
                    let gap = if index > 0 { "\n" } else { "" };
                    shell.put(format!("{gap}{target}:\n"))?;
                }
                let names = match shell.files.list(&path) {
                    Ok(names) => names,
                    Err(error) => {
                        status = shell.fail("ls", &format!("{target}: {}", files::reason(&error)))?;
                        continue;
                    }
                };
                for name in names.iter().filter(|name| letters.contains(['a', 'A']) || !name.starts_with('.')) {
                    list_one(shell, &letters, &files::absolute(&path, name), name)?;
                }
            }
            Some(_) => list_one(shell, &letters, &path, target)?,
        }
    }
    Ok(status)
}

fn list_one(shell: &Shell, letters: &str, path: &str, name: &str) -> Run<()> {
    if !letters.contains('l') {
        return shell.put(format!("{name}\n"));
    }
    let mode = if shell.files.kind(path) == Some(Kind::Folder) { "drwxr-xr-x" } else { "-rwxr-xr-x" };
    let len = shell.files.len(path).unwrap_or(0);
    shell.put(format!("{mode}    1 root     root     {len:9} {name}\n"))
}

pub fn mkdir(shell: &Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let mut status = 0;
    for name in names {
        let path = shell.path(&name);
        let result = if letters.contains('p') { make_all(shell, &path) } else { shell.files.make_folder(&path) };
        if let Err(error) = result {
            status = shell.fail("mkdir", &format!("can't create directory '{name}': {}", files::reason(&error)))?;
        }
    }
    Ok(status)
}

fn make_all(shell: &Shell, path: &str) -> std::io::Result<()> {
    for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        match shell.files.kind(&path[..end]) {
            Some(Kind::Folder) => {}
            _ => shell.files.make_folder(&path[..end])?,
        }
    }
    Ok(())
}

pub fn rmdir(shell: &Shell, arguments: &[String]) -> Run {
    let (_, names) = options(arguments);
    let mut status = 0;
    for name in names {
        if let Err(error) = shell.files.remove_folder(&shell.path(&name)) {
            status = shell.fail("rmdir", &format!("'{name}': {}", files::reason(&error)))?;
        }
    }
    Ok(status)
}

pub fn rm(shell: &Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let mut status = 0;
    for name in names {
        let path = shell.path(&name);
        let result = match shell.files.kind(&path) {
            None if letters.contains('f') => Ok(()),
            Some(Kind::Folder) if letters.contains(['r', 'R']) => remove_all(shell, &path, 0),
            _ => shell.files.remove_file(&path),
        };
        if let Err(error) = result {
            status = shell.fail("rm", &format!("can't remove '{name}': {}", files::reason(&error)))?;
        }
    }
    Ok(status)
}

fn remove_all(shell: &Shell, path: &str, depth: u32) -> std::io::Result<()> {
    if depth > 64 {
        return Err(std::io::Error::other("nested too deep"));
    }
    for name in shell.files.list(path)? {
        let inner = files::absolute(path, &name);
        match shell.files.kind(&inner) {
            Some(Kind::Folder) => remove_all(shell, &inner, depth + 1)?,
            _ => shell.files.remove_file(&inner)?,
        }
    }
    shell.files.remove_folder(path)
}

/// Makes files that are not there. Times are not kept.
pub fn touch(shell: &Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let mut status = 0;
    for name in names {
        let path = shell.path(&name);
        if shell.files.kind(&path).is_some() || letters.contains('c') {
            continue;
        }
        if let Err(error) = shell.files.create(&path, WriteMode::Append) {
            status = shell.fail("touch", &format!("{name}: {}", files::reason(&error)))?;
        }
    }
    Ok(status)
}

/// `cp`, `mv` of files, and `ln`, which copies: there are no links.
pub fn copy(shell: &Shell, tool: &str, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let Some((target, sources)) = names.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return shell.fail(tool, "missing file operand");
    };
    let mut status = 0;
    for source in sources {
        let from = shell.path(source);
        let mut to = shell.path(target);
        if shell.files.kind(&to) == Some(Kind::Folder) {
            let name = from.rsplit('/').next().unwrap_or_default();
            to = files::absolute(&to, name);
        }
        let moves = tool == "mv";
        let result = match shell.files.kind(&from) {
            Some(Kind::Folder) if moves || letters.contains(['r', 'R', 'a']) => copy_all(shell, &from, &to, 0),
            _ => copy_file(shell, &from, &to),
        };
        let result = result.and_then(|()| match (moves, shell.files.kind(&from)) {
            (true, Some(Kind::Folder)) => remove_all(shell, &from, 0),
            (true, _) if from != to => shell.files.remove_file(&from),
            _ => Ok(()),
        });
        if let Err(error) = result {
            status = shell.fail(tool, &format!("can't {tool} '{source}': {}", files::reason(&error)))?;
        }
    }
    Ok(status)
}

fn copy_file(shell: &Shell, from: &str, to: &str) -> std::io::Result<()> {
    let bytes = shell.files.read(from)?;
    shell.files.create(to, WriteMode::Truncate)?.write_all(&bytes)
}

fn copy_all(shell: &Shell, from: &str, to: &str, depth: u32) -> std::io::Result<()> {
    if depth > 64 || to == from || to.starts_with(&format!("{from}/")) {
        return Err(std::io::Error::other("can't copy a folder into itself"));
    }
    if shell.files.kind(to).is_none() {
        shell.files.make_folder(to)?;
    }
    for name in shell.files.list(from)? {
        let (inner, copied) = (files::absolute(from, &name), files::absolute(to, &name));
        match shell.files.kind(&inner) {
            Some(Kind::Folder) => copy_all(shell, &inner, &copied, depth + 1)?,
            _ => copy_file(shell, &inner, &copied)?,
        }
    }
    Ok(())
}
