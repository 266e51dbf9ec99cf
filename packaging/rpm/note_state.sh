# Before an installation, as part of a package's scripts: notes which $units are enabled and active, and saves $files. If
# the package replaces another one in the same transaction, the other's scripts run later and disable the units, and rpm
# renames its changed settings.
state=/var/lib/rpm-state/$package
rm -rf "$state"
if [ "$1" = 1 ]; then
    mkdir -p "$state"
    chmod 700 "$state"
    for unit in $units; do
        if systemctl is-enabled --quiet "$unit" 2>/dev/null; then : >"$state/$unit.enabled"; fi
        if systemctl is-active --quiet "$unit" 2>/dev/null; then : >"$state/$unit.active"; fi
    done
    for file in $files; do
        if [ -f "$file" ]; then cp -a --parents "$file" "$state" 2>/dev/null || :; fi
    done
fi
