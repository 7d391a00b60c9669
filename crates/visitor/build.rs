//! Puts the uap-core data that the `ua-parser` package carries into the binary, as JSON and without what is not used.
//!
//! The package does not hand its data to its users, so cargo is asked where it lies. The question is put for a
//! manifest of its own that names nothing but `ua-parser`: for this workspace cargo would want every package of every
//! test on the disk, and a build must not download more than it builds.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value};

const MANIFEST: &str = "[package]\nname = \"locate\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
    [lib]\npath = \"lib.rs\"\n[dependencies]\nua-parser = \"*\"\n[workspace]\n";

fn main() -> Result<(), Box<dyn Error>> {
    // A version that moves brings other data with it.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", lock.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let yaml = locate(&out, &lock)?.join("uap-core/regexes.yaml");
    let text = fs::read_to_string(&yaml).map_err(|error| format!("{}: {error}", yaml.display()))?;
    let mut documents = Yaml::load_from_str(&text)?;
    let mut data = json(&documents.pop().ok_or("no document in regexes.yaml")?)?;
    keep_leading_spiders(&mut data)?;
    fs::write(out.join("agents.json"), data.to_string())?;
    Ok(())
}

/// The folder of the `ua-parser` package that the lock file names.
fn locate(out: &Path, lock: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let folder = out.join("locate");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    fs::write(folder.join("lib.rs"), "")?;
    fs::copy(lock, folder.join("Cargo.lock"))?;
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("cargo sets CARGO")?);
    cargo.args(["metadata", "--format-version=1", "--offline", "--manifest-path"]);
    cargo.arg(folder.join("Cargo.toml"));
    cargo.arg("--filter-platform").arg(env::var_os("TARGET").ok_or("cargo sets TARGET")?);
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists packages")?;
    let package = packages.iter().find(|package| package["name"] == "ua-parser");
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.ok_or("cargo metadata does not name ua-parser")?;
    Ok(Path::new(manifest).parent().ok_or("a manifest lies in a folder")?.to_owned())
}

/// The data is maps, lists and texts; a few keys are without a value.
fn json(yaml: &Yaml) -> Result<Value, Box<dyn Error>> {
    if let Some(map) = yaml.as_mapping() {
        let entries = map.iter().map(|(key, value)| {
            let key = key.as_str().ok_or("a key that is no text")?;
            Ok((key.to_owned(), json(value)?))
        });
        return Ok(Value::Object(entries.collect::<Result<Map<_, _>, Box<dyn Error>>>()?));
    }
    if let Some(list) = yaml.as_sequence() {
        return Ok(Value::Array(list.iter().map(json).collect::<Result<_, _>>()?));
    }
    if yaml.is_null() {
        return Ok(Value::Null);
    }
    let text = yaml.as_str().ok_or_else(|| format!("neither map, list nor text: {yaml:?}"))?;
    Ok(Value::String(text.to_owned()))
}

/// Of a device only whether it is a spider's is asked. The first match counts, so the rules that stand before every
/// other device say it as the whole list does. Its very last rule, a list of words for whatever no other rule knew,
/// would need the whole list in front of it; our own words stand in.
fn keep_leading_spiders(data: &mut Value) -> Result<(), Box<dyn Error>> {
    let devices = data["device_parsers"].as_array_mut().ok_or("no device_parsers")?;
    let spiders = devices.iter().take_while(|device| device["device_replacement"] == "Spider").count();
    if spiders == 0 {
        return Err("the list of devices does not begin with spiders any more".into());
    }
    devices.truncate(spiders);
    Ok(())
}
