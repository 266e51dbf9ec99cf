# Once everything that the units need is there: enables and starts $units that were enabled and active before the transaction.
if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
for unit in $units; do
    if [ -e "$state/$unit.enabled" ]; then systemctl --quiet enable "$unit" || :; fi
    if [ -e "$state/$unit.active" ]; then systemctl start "$unit" || :; fi
done
rm -rf "$state"
