use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;

fn settings(vars: &[(&str, &str)]) -> Result<Settings, LogError> {
    let vars: Vec<(String, String)> = vars.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Settings::read(|name| vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()), "info", false)
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn said(vars: &[(&str, &str)]) -> String {
    let page = Page::default();
    let writer = page.clone();
    let subscriber = settings(vars).unwrap().subscriber(move || writer.clone());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(answer = 42, "hello");
        tracing::debug!("detail");
    });
    let bytes = page.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn text_json_and_levels() {
    let text = said(&[]);
    assert!(text.contains("INFO") && text.contains("hello answer=42") && !text.contains("detail"), "{text}");
    assert!(!text.contains('\x1b'), "no colours unless on a terminal");
    let json: serde_json::Value = serde_json::from_str(&said(&[("WEIR_LOG_FORMAT", "json")])).unwrap();
    assert_eq!((&json["message"], &json["answer"]), (&"hello".into(), &42.into()));
    assert!(said(&[("WEIR_LOG", "debug")]).contains("detail"));
    assert_eq!(said(&[("WEIR_LOG", "weir_telemetry=warn")]), "");
}

#[test]
fn mistakes_name_the_variable_and_the_choices() {
    let level = settings(&[("WEIR_LOG", "weir=loud")]).unwrap_err().to_string();
    assert!(level.contains("WEIR_LOG=\"weir=loud\"") && level.contains("debug"), "{level}");
    let format = settings(&[("WEIR_LOG_FORMAT", "xml")]).unwrap_err().to_string();
    assert!(format.contains("WEIR_LOG_FORMAT=\"xml\"") && format.contains("text or json"), "{format}");
    assert!(settings(&[("WEIR_LOG", " "), ("WEIR_LOG_FORMAT", "")]).is_ok(), "empty means not set");
}
