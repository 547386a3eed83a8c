//! TUN devices in other network namespaces.

use std::ffi::c_void;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};

use super::DEVICE;
use crate::network::enter;

/// `struct ifreq` of the kernel, as far as TUNSETIFF reads it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Packets without a head of the kernel's own before them.
const IFF_TUN_NO_PI: u16 = 0x1001;

/// `ioctl(TUNSETIFF)`.
struct SetInterface(Request);

// SAFETY: the kernel's interface for TUNSETIFF: the argument points to a `struct ifreq`, 40 bytes long, which lives as long
// as the call; the opcode is that of `linux/if_tun.h`, _IOW('T', 202, int).
#[allow(unsafe_code, reason = "no safe binding has this call, and it is three lines")]
unsafe impl Ioctl for SetInterface {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::write::<i32>(b'T', 202)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Makes the device of a namespace. It is gone when the file is closed.
pub(super) fn open(namespace: &str) -> Result<File> {
    // The device belongs to the namespace of the thread that makes it.
    enter(namespace)?;
    let path = Path::new("/dev/net/tun");
    let file = File::options().read(true).write(true).open(path);
    let file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut request = Request { name: [0; 16], flags: IFF_TUN_NO_PI, rest: [0; 22] };
    for (place, byte) in request.name.iter_mut().zip(DEVICE.bytes()) {
        *place = byte;
    }
    // SAFETY: `SetInterface` is what its `Ioctl` says, and the file is the kernel's TUN device.
    #[allow(unsafe_code, reason = "see `SetInterface`")]
    unsafe { rustix::ioctl::ioctl(&file, SetInterface(request)) }
        .with_context(|| format!("the device {DEVICE} of {namespace} cannot be made"))?;
    Ok(file)
}
