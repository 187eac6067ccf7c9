//! Identities: dense counters owned by the control plane, shown in ECS' form.
//!
//! Ids are never random: the n-th task of a cluster with a given seed always has the same id, so that a replay names
//! the same things. The hexadecimal form is a bijection of (seed, kind, counter).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fnv::{FNV_OFFSET, fnv1a};

/// An id that is a counter's value.
pub trait CounterId: Copy {
    /// The value.
    fn number(self) -> u64;

    /// The id of a value.
    fn of(number: u64) -> Self;
}

macro_rules! counter_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
        pub struct $name(pub u64);

        impl CounterId for $name {
            fn number(self) -> u64 {
                self.0
            }

            fn of(number: u64) -> $name {
                $name(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter_id! {
    /// A task, by order of creation. Shown to people by [`IdForm::task`].
    TaskId
}
counter_id! {
    /// An EC2 instance and the container instance that it registers, by order of launch.
    ContainerInstanceId
}
counter_id! {
    /// A deployment of a service, by order of creation. Shown by [`IdForm::deployment`].
    DeploymentId
}
counter_id! {
    /// A service deployment: one way of a service from revision to revision. Shown by [`IdForm::service_deployment`].
    ServiceDeploymentId
}
counter_id! {
    /// A service revision: an immutable snapshot of a service. Shown by [`IdForm::service_revision`].
    ServiceRevisionId
}
counter_id! {
    /// A lifecycle hook of a deployment at one stage: what is called and, for a pause, continued. Shown by [`IdForm::hook`].
    HookId
}
counter_id! {
    /// A request put to the control plane; its response carries the same id. Chosen by the caller.
    RequestId
}

/// 9 * 10^18 numbers of 19 digits fit an u64; mixes are reduced into them.
const FIRST_OF_19_DIGITS: u64 = 1_000_000_000_000_000_000;

/// How a cluster shows its ids: a pure function of its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct IdForm {
    /// The cluster's seed.
    pub seed: u64,
}

impl IdForm {
    /// 32 lower-case hexadecimal digits, as ECS shows a task. **Source:** ecs-semantics §1.2.
    pub fn task(self, id: TaskId) -> String {
        let mut text = String::with_capacity(32);
        self.write_task(id, &mut text);
        text
    }

    /// Adds [`IdForm::task`] to a text.
    pub fn write_task(self, id: TaskId, text: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = u128::from(self.mix(1, id.0)) << 64 | u128::from(self.mix(2, id.0));
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text.push_str(std::str::from_utf8(&digits).expect("digits are ASCII"));
    }

    /// 32 lower-case hexadecimal digits, as ECS shows a container instance. **Source:** ecs-semantics §1.2.
    pub fn container_instance(self, id: ContainerInstanceId) -> String {
        format!("{:016x}{:016x}", self.mix(3, id.0), self.mix(4, id.0))
    }

    /// `i-` and 17 hexadecimal digits, as EC2 shows an instance.
    pub fn ec2_instance(self, id: ContainerInstanceId) -> String {
        format!("i-0{:016x}", self.mix(5, id.0))
    }

    /// `ecs-svc/` and 19 digits. **Source:** ecs-semantics §1.1.
    pub fn deployment(self, id: DeploymentId) -> String {
        format!("ecs-svc/{}", FIRST_OF_19_DIGITS + self.mix(6, id.0) % (8 * FIRST_OF_19_DIGITS))
    }

    /// 21 characters, as ECS shows a service deployment. *Ours:* hexadecimal digits only.
    pub fn service_deployment(self, id: ServiceDeploymentId) -> String {
        format!("{:05x}{:016x}", self.mix(7, id.0) >> 44, self.mix(8, id.0))
    }

    /// 19 digits, as ECS shows a service revision.
    pub fn service_revision(self, id: ServiceRevisionId) -> String {
        format!("{}", FIRST_OF_19_DIGITS + self.mix(9, id.0) % (8 * FIRST_OF_19_DIGITS))
    }

    /// A UUID of version 4, as ECS shows a hook that runs.
    pub fn hook(self, id: HookId) -> String {
        uuid(self.mix(11, id.0), self.mix(12, id.0))
    }

    /// A UUID of version 4, as EventBridge shows the `n`-th event of a cluster. **Source:** ecs-semantics §10.3.
    pub fn event(self, n: u64) -> String {
        uuid(self.mix(7, n), self.mix(8, n))
    }

    /// A UUID of version 4, as ECS shows a container: the `index`-th of its task. **Source:** ecs-semantics §1.2.
    pub fn container(self, task: TaskId, index: u64) -> String {
        uuid(self.mix(9, task.0), self.mix(10, task.0.rotate_left(16) ^ index))
    }

    /// A GPU as NVIDIA's drivers call it: the `index`-th of its instance.
    pub fn gpu(self, instance: ContainerInstanceId, index: u32) -> String {
        let index = u64::from(index);
        format!("GPU-{}", uuid(self.mix(13, instance.0), self.mix(14, instance.0.rotate_left(16) ^ index)))
    }

    /// A UUID of version 4 for what has a name that is its own, as Application Auto Scaling puts behind those of its alarms.
    pub fn alarm(self, name: &str) -> String {
        // A collision would need two alarms of one prefix, and those differ in their names before the UUID.
        let hash = fnv1a(FNV_OFFSET, name.bytes());
        uuid(self.mix(11, hash), self.mix(12, hash))
    }

    /// The task that is shown like this; `None` for what is no task's id.
    pub fn read_task(self, text: &str) -> Option<TaskId> {
        let id = TaskId(self.unmix(1, hexadecimal(text.get(..16)?)?));
        (self.task(id) == text).then_some(id)
    }

    /// The container instance that is shown like this; `None` for what is none's id.
    pub fn read_container_instance(self, text: &str) -> Option<ContainerInstanceId> {
        let id = ContainerInstanceId(self.unmix(3, hexadecimal(text.get(..16)?)?));
        (self.container_instance(id) == text).then_some(id)
    }

    /// The container instance whose EC2 instance is shown like this; `None` for what is none's id.
    pub fn read_ec2_instance(self, text: &str) -> Option<ContainerInstanceId> {
        let id = ContainerInstanceId(self.unmix(5, hexadecimal(text.strip_prefix("i-0")?)?));
        (self.ec2_instance(id) == text).then_some(id)
    }

    /// SplitMix64's finaliser over the counter in a stream of its own: a bijection for each seed and kind.
    fn mix(self, kind: u64, counter: u64) -> u64 {
        let mut z =
            counter.wrapping_add(self.seed.rotate_left(17)).wrapping_add(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The counter that `mix` made this of: each of its steps is undone, the last first.
    fn unmix(self, kind: u64, mixed: u64) -> u64 {
        let mut z = mixed ^ (mixed >> 31) ^ (mixed >> 62);
        // The inverses of the factors modulo 2^64.
        z = z.wrapping_mul(0x3196_42b2_d24d_8ec3);
        z ^= (z >> 27) ^ (z >> 54);
        z = z.wrapping_mul(0x96de_1b17_3f11_9089);
        z ^= (z >> 30) ^ (z >> 60);
        z.wrapping_sub(self.seed.rotate_left(17)).wrapping_sub(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Sixteen hexadecimal digits.
fn hexadecimal(text: &str) -> Option<u64> {
    let is_digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digits.then(|| u64::from_str_radix(text, 16).ok())?
}

/// Two words as a UUID, with the bits that say that it is of version 4.
fn uuid(high: u64, low: u64) -> String {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown is read back, and nothing else is.
    #[test]
    fn ids_are_read_back() {
        let ids = IdForm { seed: 0x1234_5678_9abc_def0 };
        for n in [0, 1, 2, 77, 1_000_000, u64::MAX] {
            assert_eq!(ids.read_task(&ids.task(TaskId(n))), Some(TaskId(n)));
            let instance = ContainerInstanceId(n);
            assert_eq!(ids.read_container_instance(&ids.container_instance(instance)), Some(instance));
            assert_eq!(ids.read_ec2_instance(&ids.ec2_instance(instance)), Some(instance));
            assert_ne!(IdForm { seed: 1 }.read_task(&ids.task(TaskId(n))), Some(TaskId(n)));
        }
        for made_up in ["", "x", "i-0", "i-0123", "0123456789abcdef0123456789abcdef", "ÄÖÜäöüß+0123456789abcdef"]
        {
            assert_eq!((ids.read_task(made_up), ids.read_container_instance(made_up)), (None, None), "{made_up}");
            assert_eq!(ids.read_ec2_instance(made_up), None);
        }
    }

    /// The form of a UUID, the same for the same seed and counter, another for every other.
    #[test]
    fn events_and_containers_have_uuids() {
        let ids = IdForm { seed: 7 };
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..1000 {
            for id in [ids.event(n), ids.container(TaskId(n / 10), n % 10)] {
                let lengths: Vec<usize> = id.split('-').map(str::len).collect();
                assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
                assert!(&id[14..15] == "4" && "89ab".contains(&id[19..20]), "{id}");
                assert!(seen.insert(id));
            }
        }
        assert_eq!(ids.event(3), ids.event(3));
        assert_ne!(ids.event(3), IdForm { seed: 8 }.event(3));
    }
}
