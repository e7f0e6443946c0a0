use std::collections::BTreeMap;
use std::time::SystemTime;

use candle_core::Device;

/// What computes, for the report: device, processor, memory, system, program, the time now as `started`, `status = "running"`.
pub fn machine(device: &Device) -> BTreeMap<String, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let system = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing()
            .with_cpu(sysinfo::CpuRefreshKind::nothing())
            .with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram()),
    );
    let cpu = system.as_ref().ok().and_then(|s| Some(s.cpus().first()?.brand().trim().to_owned()));
    let memory = system.as_ref().map(|s| format!("{:.0} GiB", s.total_memory() as f64 / (1u64 << 30) as f64));
    let unknown = || "unknown".to_owned();
    let device = match device.location() {
        candle_core::DeviceLocation::Cpu => format!("CPU, {threads} threads"),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("CUDA {gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("Metal {gpu_id}"),
    };
    let os = sysinfo::System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned());
    let facts = [
        ("device", device),
        ("cpu", cpu.unwrap_or_else(unknown)),
        ("memory", memory.unwrap_or_else(|_| unknown())),
        ("os", format!("{os}, {}", std::env::consts::ARCH)),
        ("program", concat!("Atelier ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("started", humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
        ("status", "running".to_owned()),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
