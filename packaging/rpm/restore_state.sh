# After a transaction, as part of a package's scripts: puts back $files that the transaction removed. restore_units.sh then
# does the rest.
state=/var/lib/rpm-state/$package
for file in $files; do
    if [ -f "$state$file" ] && [ ! -e "$file" ] && [ ! -L "$file" ]; then
        # The directory may be another user's, who could have put a FIFO there.
        if timeout 10 cmp -s "$state$file" "$file.rpmsave"; then rm -f "$file.rpmsave"; fi
        mv -T "$state$file" "$file" || :
    fi
done
