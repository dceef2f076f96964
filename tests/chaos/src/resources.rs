//! What a process uses, as the kernel counts it.

/// Zeros of a process that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) threads: u64,
    pub(crate) files: u64,
    pub(crate) megabytes: u64,
}

impl Resources {
    pub(crate) fn of(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|it| it.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, |it| it.count() as u64);
        Self { threads: number("Threads:").unwrap_or_default(), files, megabytes: number("VmRSS:").unwrap_or_default() / 1024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_thread_a_file_and_some_memory() {
        let own = Resources::of(std::process::id());
        assert!(own.threads > 0 && own.files > 0 && own.megabytes > 0, "{own:?}");
        assert_eq!(Resources::of(u32::MAX), Resources::default());
    }
}
