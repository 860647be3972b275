//! One device for all maps of a page, where the backend can share it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use web_sys::HtmlCanvasElement;

use crate::engine::lost::device_lost;
use crate::render::gpu::Gpu;

thread_local! {
    static SHARED: RefCell<Weak<Gpu>> = const { RefCell::new(Weak::new()) };
    /// A device is being asked for; whoever comes meanwhile waits for it.
    static ASKED: Cell<bool> = const { Cell::new(false) };
    static WAITING: RefCell<Vec<oneshot::Sender<()>>> = const { RefCell::new(Vec::new()) };
}

/// The page's device, or a new one, and a surface of it on `canvas`.
///
/// # Errors
/// No device, or none that can draw on this canvas; in words.
pub(super) async fn device_for(
    canvas: &HtmlCanvasElement,
) -> Result<(Rc<Gpu>, wgpu::Surface<'static>), String> {
    let target = || wgpu::SurfaceTarget::Canvas(canvas.clone());
    if !cfg!(feature = "webgpu") {
        return made(target()).await;
    }
    loop {
        let shared = SHARED.with(|s| s.borrow().upgrade()).filter(|g| !g.is_lost());
        if let Some(gpu) = shared {
            let surface = gpu.instance.create_surface(target()).map_err(|e| e.to_string())?;
            return Ok((gpu, surface));
        }
        if !ASKED.replace(true) {
            let new = made(target()).await;
            if let Ok((gpu, _)) = &new {
                SHARED.with(|s| *s.borrow_mut() = Rc::downgrade(gpu));
            }
            ASKED.set(false);
            for waiting in WAITING.take() {
                let _ = waiting.send(());
            }
            return new;
        }
        let (send, receive) = oneshot::channel();
        WAITING.with(|w| w.borrow_mut().push(send));
        let _ = receive.await;
    }
}

async fn made(target: wgpu::SurfaceTarget<'static>) -> Result<(Rc<Gpu>, wgpu::Surface<'static>), String> {
    let (gpu, surface) = Gpu::new(target, device_lost).await.map_err(|e| e.to_string())?;
    Ok((Rc::new(gpu), surface))
}
