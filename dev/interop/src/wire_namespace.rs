//! A network of two ends: the server's on this side, the device's in a network namespace of its own. Needs root.

use crate::process::output_of;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Two ends joined by a virtual cable; dropping it removes both.
pub(crate) struct Cable {
    namespace: String,
    far_link: String,
    /// The two addresses of the far end, the first of which is used unless somebody says otherwise.
    far: [String; 2],
    /// Address of the near end, where the server listens.
    pub(crate) near: String,
}

impl Cable {
    /// Joins the two ends.
    pub(crate) fn lay() -> Result<Self, String> {
        static LAID: AtomicU32 = AtomicU32::new(0);
        // Names and networks of its own, since the kernel clears the last cable away when it likes.
        let laid = LAID.fetch_add(1, Ordering::Relaxed);
        // What a run that was ended by force has left behind still has its address.
        let mut numbers = (0..250).map(|more| (std::process::id() * 4 + laid + more) % 250);
        let is_free = |number: &u32| UdpSocket::bind(format!("10.91.{number}.1:0")).is_err();
        let number = numbers.find(is_free).ok_or("every network for a cable is taken")?;
        let id = format!("{}x{laid}", std::process::id());
        let (namespace, near_link, far_link) =
            (format!("lightship{id}"), format!("lsn{id}"), format!("lsf{id}"));
        let [near, first, second] = [1, 2, 3].map(|host| format!("10.91.{number}.{host}"));
        ip(&["netns", "add", &namespace])?;
        let cable = Self { namespace, far_link, far: [first, second], near };
        let inside = cable.namespace.as_str();
        ip(&["link", "add", &near_link, "type", "veth", "peer", "name", &cable.far_link, "netns", inside])?;
        ip(&["address", "add", &format!("{}/29", cable.near), "dev", &near_link])?;
        ip(&["link", "set", &near_link, "up"])?;
        for address in &cable.far {
            ip(&["-n", inside, "address", "add", &format!("{address}/29"), "dev", &cable.far_link])?;
        }
        cable.mend()?;
        Ok(cable)
    }

    /// A command that runs at the far end.
    pub(crate) fn at_far_end(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.namespace]).arg(command.get_program()).args(command.get_args());
        inside
    }

    /// Drops every third UDP packet, each direction counted for itself.
    pub(crate) fn lose_every_third(&self) -> Result<(), String> {
        self.rule(
            "add table inet lossy
            add chain inet lossy in { type filter hook input priority 0; }
            add chain inet lossy out { type filter hook output priority 0; }
            add rule inet lossy in meta l4proto udp numgen inc mod 3 == 2 counter drop
            add rule inet lossy out meta l4proto udp numgen inc mod 3 == 2 counter drop\n",
        )
    }

    /// Does from now on what a router does that lost its table: what the far end sends from `port` leaves its second
    /// address and `outside`, what comes there comes to `port`, and the old address is nobody's.
    pub(crate) fn rebind(&self, port: u16, outside: u16) -> Result<(), String> {
        self.rebind_all(&[(port, outside)])
    }

    /// The same for several ports at once.
    pub(crate) fn rebind_all(&self, ports: &[(u16, u16)]) -> Result<(), String> {
        let [first, second] = &self.far;
        let mut rules = "add table ip nat
            flush table ip nat
            add chain ip nat out { type filter hook output priority -300; }
            add chain ip nat in { type filter hook prerouting priority -300; }\n"
            .to_owned();
        for (port, outside) in ports {
            rules += &format!(
                "add rule ip nat out udp sport {port} ip saddr set {second} udp sport set {outside}
                add rule ip nat in ip daddr {first} udp dport {port} drop
                add rule ip nat in ip daddr {second} udp dport {outside} ip daddr set {first} udp dport set {port}\n"
            );
        }
        self.rule(&rules)
    }

    fn rule(&self, rules: &str) -> Result<(), String> {
        let mut nft = self.at_far_end(Command::new("nft").args(["-f", "-"]));
        let mut child = nft
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("nft: {error}"))?;
        let mut input = child.stdin.take().ok_or("nft has no standard input")?;
        std::io::Write::write_all(&mut input, rules.as_bytes()).map_err(|error| format!("nft: {error}"))?;
        drop(input);
        let output = child.wait_with_output().map_err(|error| format!("nft: {error}"))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("nft: {}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// How many packets were lost so far, both directions.
    pub(crate) fn lost(&self) -> Result<u64, String> {
        let rules =
            output_of(&mut self.at_far_end(Command::new("nft").args(["list", "table", "inet", "lossy"])))?;
        let counts = rules
            .split("counter packets ")
            .skip(1)
            .filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        Ok(counts.sum())
    }

    /// Pulls the plug.
    pub(crate) fn cut(&self) -> Result<(), String> {
        ip(&["-n", &self.namespace, "link", "set", &self.far_link, "down"])
    }

    /// Puts it back.
    pub(crate) fn mend(&self) -> Result<(), String> {
        ip(&["-n", &self.namespace, "link", "set", &self.far_link, "up"])
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _gone = ip(&["netns", "delete", &self.namespace]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    output_of(Command::new("ip").args(arguments))
        .map(drop)
        .map_err(|error| format!("ip {}: {error}", arguments.join(" ")))
}
