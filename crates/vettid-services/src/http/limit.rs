//! How much one source address may ask: a bucket for each address (IPv6: for each /64), in memory. A full table refuses
//! newcomers rather than forget who has used up their share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use vettid_core::rate::Bucket;
use vettid_wire::contract::Rate;
use vettid_wire::time::Timestamp;

const MAX_SOURCES: usize = 50_000;

/// One limit for many sources.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, (Bucket, Timestamp)>>,
}

impl RateLimit {
    /// Nobody has asked yet.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one request of this source; refused with the seconds after which one is possible again.
    pub(crate) fn take(&self, source: IpAddr, now: Timestamp) -> Result<(), u32> {
        let wait = self.rate.per_seconds.div_ceil(self.rate.count.max(1)).max(1);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let source = network(source);
        if !buckets.contains_key(&source) && buckets.len() >= MAX_SOURCES {
            let refill_ms = i64::from(self.rate.per_seconds).saturating_mul(1000);
            buckets.retain(|_, (_, used)| now.since_ms(*used) < refill_ms);
            if buckets.len() >= MAX_SOURCES {
                return Err(wait);
            }
        }
        let (bucket, used) = buckets.entry(source).or_insert_with(|| (Bucket::full(self.rate, now), now));
        *used = now;
        if bucket.take(self.rate, now) { Ok(()) } else { Err(wait) }
    }
}

fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { count: 3, per_seconds: 60 };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    fn taken(limit: &RateLimit, source: &str, now: Timestamp) -> bool {
        limit.take(source.parse().unwrap(), now).is_ok()
    }

    #[test]
    fn n_pass_and_the_next_does_not() {
        let limit = RateLimit::new(RATE);
        let outcomes: Vec<_> = (0..4).map(|_| limit.take("192.0.2.1".parse().unwrap(), at(0))).collect();
        assert_eq!(outcomes, [Ok(()), Ok(()), Ok(()), Err(20)]);
        assert!(taken(&limit, "192.0.2.2", at(0)), "another source has its own bucket");
        assert!(!taken(&limit, "192.0.2.1", at(19_999)));
        assert!(taken(&limit, "192.0.2.1", at(20_000)));
        assert!(!taken(&limit, "192.0.2.1", at(20_000)));
    }

    #[test]
    fn a_network_cannot_multiply_itself() {
        let limit = RateLimit::new(RATE);
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:1"] {
            assert!(taken(&limit, host, at(0)));
        }
        assert!(!taken(&limit, "2001:db8::4", at(0)));
        assert!(taken(&limit, "2001:db8:0:1::1", at(0)));
        assert!(taken(&limit, "::ffff:192.0.2.1", at(0)) && taken(&limit, "192.0.2.1", at(0)));
        assert!(taken(&limit, "192.0.2.1", at(0)) && !taken(&limit, "::ffff:192.0.2.1", at(0)));
    }

    #[test]
    fn a_full_table_refuses_newcomers_until_buckets_are_full_again() {
        let limit = RateLimit::new(RATE);
        for number in 0..u32::try_from(MAX_SOURCES).unwrap() {
            assert!(limit.take(IpAddr::from(number.to_be_bytes()), at(0)).is_ok());
        }
        assert!(!taken(&limit, "2001:db8::1", at(59_999)));
        assert!(limit.take(IpAddr::from(0_u32.to_be_bytes()), at(59_999)).is_ok(), "who is known goes on");
        assert!(taken(&limit, "2001:db8::1", at(60_000)));
        assert_eq!(limit.buckets.lock().unwrap().len(), 2);
    }
}
