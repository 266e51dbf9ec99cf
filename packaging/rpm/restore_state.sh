# After a transaction, as part of a package's scripts: puts $files back that it removed, and enables and starts $units that
# were enabled and active before it.
state=/var/lib/rpm-state/$package
for file in $files; do
    if [ -f "$state$file" ] && [ ! -e "$file" ] && [ ! -L "$file" ]; then
        # The directory may be another user's, who could have put a FIFO there.
        if timeout 10 cmp -s "$state$file" "$file.rpmsave"; then rm -f "$file.rpmsave"; fi
        mv -T "$state$file" "$file" || :
    fi
done
