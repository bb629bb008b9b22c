//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.5 MiB`; powers of 1024.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as 1024.0.
    while scaled >= 1023.95 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// `850 ms`, `12.3 s`, `4m05s`, `2h03m`.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else if seconds < 3599.5 {
        let whole = seconds.round() as u64;
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else {
        let minutes = (seconds / 60.0).round() as u64;
        format!("{}h{:02}m", minutes / 60, minutes % 60)
    }
}

/// Milliseconds of a latency in microseconds, three digits that count: `0.085`, `1.23`, `45.6`, `1234`.
pub fn millis(micros: u64) -> String {
    let ms = micros as f64 / 1000.0;
    match micros {
        0..1_000 => format!("{ms:.3}"),
        1_000..10_000 => format!("{ms:.2}"),
        10_000..100_000 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

/// `1 node`, `2 nodes`.
pub fn plural(value: u64, noun: &str) -> String {
    let s = if value == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn sizes_take_the_unit_that_fits() {
        for (value, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (1_048_575, "1.0 MiB")]
        {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn durations_never_show_sixty_seconds() {
        for (ms, text) in [
            (850, "850 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (59_990, "1m00s"),
            (245_000, "4m05s"),
            (3_599_900, "1h00m"),
            (7_380_000, "2h03m"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn latencies_keep_three_digits() {
        for (us, text) in [(85, "0.085"), (1_234, "1.23"), (45_600, "45.6"), (1_234_000, "1234")] {
            assert_eq!(millis(us), text);
        }
    }
}
