// SPDX-License-Identifier: Apache-2.0

/// The other opinion: unpacks layers as containerd does, mounts an overlay of them and compares it with an image.
///
/// It shares nothing with the code under test: Python's tar reader, the kernel's union, the kernel's ext4.
let referenceScript = #"""
    import ctypes, hashlib, os, stat, subprocess, sys, tarfile

    ROOT_NAMES = ('', '.')

    def sh(*command):
        subprocess.run(command, check=True, timeout=60)

    def components(name):
        out = []
        for part in name.split(b'/'):
            if part in (b'', b'.'):
                continue
            if part == b'..':
                out.pop()
            else:
                out.append(part)
        return out

    def resolve(root, parts, make, seconds, lowers):
        """The directory of that path below root, links followed inside root, made where it is missing."""
        stack, rest = [], list(reversed(parts))
        while rest:
            part = rest.pop()
            if part == b'..':
                if stack: stack.pop()
                continue
            path = os.path.join(root, *stack, part)
            try:
                info = os.lstat(path)
            except FileNotFoundError:
                if not make: raise
                os.mkdir(path, 0o755)
                os.utime(path, ns=(seconds, seconds))
                IMPLICIT[path] = (stack + [part], seconds)
                for lower in lowers:
                    other = os.path.join(lower, *stack, part)
                    if not os.path.lexists(other):
                        # A whiteout of a parent, or an opaque one, would end the search; tests avoid that.
                        continue
                    found = os.lstat(other)
                    if stat.S_ISDIR(found.st_mode):
                        os.chown(path, found.st_uid, found.st_gid)
                        os.chmod(path, stat.S_IMODE(found.st_mode))
                        IMPLICIT[path] = (stack + [part], found.st_mtime_ns)
                        for key in os.listxattr(other):
                            if not key.startswith('trusted.overlay'):
                                os.setxattr(path, key, os.getxattr(other, key))
                    break
                stack.append(part)
                continue
            if stat.S_ISLNK(info.st_mode):
                target = os.readlink(path)
                if target.startswith(b'/'): stack = []
                rest += [p for p in reversed(target.split(b'/')) if p not in (b'', b'.')]
            elif stat.S_ISDIR(info.st_mode):
                stack.append(part)
            else:
                raise NotADirectoryError(path)
        return os.path.join(root, *stack)

    IMPLICIT = {}

    def nanoseconds(member):
        text = member.pax_headers.get('mtime')
        if text is None: return int(member.mtime) * 10**9
        whole, _, fraction = text.partition('.')
        negative = whole.startswith('-')
        value = abs(int(whole)) * 10**9 + int((fraction + '0' * 9)[:9])
        return -value if negative else value

    def remove(path):
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        else:
            sh('rm', '-rf', path)

    def unpack(tar_name, root, lowers):
        whiteouts, opaques, times = set(), set(), {}
        if root in TIMES: times[root] = TIMES[root]
        IMPLICIT.clear()
        with tarfile.open(tar_name, errors='surrogateescape', encoding='utf-8') as tar:
            for member in tar:
                parts = components(os.fsencode(member.name))
                when = nanoseconds(member)
                if not parts:
                    attributes(member, root, when); times[root] = when; ROOTED.append(root)
                    continue
                if any(p.startswith(b'.wh..wh.') for p in parts[:-1]): continue
                name = parts[-1]
                if name.startswith(b'.wh..wh.') and name != b'.wh..wh..opq': continue
                directory = resolve(root, parts[:-1], True, when, lowers)
                path = os.path.join(directory, name)
                if name == b'.wh..wh..opq':
                    opaques.add(directory)
                    continue
                if name.startswith(b'.wh.'):
                    whiteouts.add(os.path.join(directory, name[4:]))
                    continue
                if os.path.lexists(path) and not (member.isdir() and os.path.isdir(path) and not os.path.islink(path)):
                    remove(path)
                    for old in [p for p in list(times) if p.startswith(path + b'/')]: del times[old]
                times.pop(path, None)
                IMPLICIT.pop(path, None)
                create(tar, member, path, root, lowers)
                attributes(member, path, when)
                if member.isdir(): times[path] = when
        for path in opaques: os.setxattr(path, 'trusted.overlay.opaque', b'y')
        for path in whiteouts:
            if not os.path.lexists(path):
                os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
            elif os.path.isdir(path) and not os.path.islink(path):
                os.setxattr(path, 'trusted.overlay.opaque', b'y')
        for path, (_, when) in IMPLICIT.items(): times[path] = when
        for path, when in times.items():
            if os.path.lexists(path): os.utime(path, ns=(when, when), follow_symlinks=False)

    def create(tar, member, path, root, lowers):
        if member.isdir():
            if not os.path.isdir(path): os.mkdir(path)
        elif member.issym():
            os.symlink(os.fsencode(member.linkname), path)
        elif member.islnk():
            parts = components(os.fsencode(member.linkname))
            target = os.path.join(resolve(root, parts[:-1], False, 0, []), parts[-1])
            os.link(target, path, follow_symlinks=False)
        elif member.ischr() or member.isblk():
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(path, kind | 0o600, os.makedev(member.devmajor, member.devminor))
        elif member.isfifo():
            os.mkfifo(path)
        else:
            with open(path, 'wb') as out:
                source = tar.extractfile(member)
                while piece := source.read(1 << 20):
                    if piece.count(0) == len(piece): out.seek(len(piece), 1)
                    else: out.write(piece)
                out.truncate(member.size)

    def attributes(member, path, when):
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
        for key, value in member.pax_headers.items():
            if key.startswith('SCHILY.xattr.') and not key.startswith('SCHILY.xattr.trusted.overlay.'):
                data = value.encode('utf-8', 'surrogateescape')
                os.setxattr(path, key[len('SCHILY.xattr.'):], data, follow_symlinks=False)
        if not os.path.islink(path): os.chmod(path, member.mode & 0o7777)
        os.utime(path, ns=(when, when), follow_symlinks=False)

    ROOTED = []

    def scan(root):
        """What stat, listxattr and read tell of everything below root, names in bytes."""
        result, groups = {}, {}
        def visit(path, name):
            # Where no lower layer has the directory, an overlay lists its whiteouts, but they cannot be looked up.
            if not os.path.lexists(path): return
            info = os.lstat(path)
            item = {'mode': oct(info.st_mode), 'owner': (info.st_uid, info.st_gid), 'mtime': info.st_mtime_ns}
            if name == b'' and not ROOTED: item = {}
            xattrs = {k: os.getxattr(path, k, follow_symlinks=False).hex()
                      for k in os.listxattr(path, follow_symlinks=False) if not k.startswith('trusted.overlay')}
            if xattrs: item['xattrs'] = sorted(xattrs.items())
            if stat.S_ISLNK(info.st_mode): item['target'] = os.readlink(path)
            if stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode): item['device'] = info.st_rdev
            if stat.S_ISREG(info.st_mode):
                item['size'] = info.st_size
                item['content'] = digest(path, info)
            if not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1:
                groups.setdefault(info.st_ino, []).append(name)
            result[name] = item
            if stat.S_ISDIR(info.st_mode):
                for child in sorted(os.listdir(path)):
                    visit(os.path.join(path, child), name + b'/' + child)
        sys.setrecursionlimit(10000)
        visit(os.fsencode(root), b'')
        for names in groups.values():
            if len(names) > 1:
                for name in names: result[name]['links'] = sorted(names)
        return result

    def digest(path, info):
        """Hashes what is not a hole, with its place; runs of zeros do not count."""
        hasher = hashlib.sha256()
        with open(path, 'rb') as file:
            offset = 0
            while offset < info.st_size:
                try: offset = os.lseek(file.fileno(), offset, os.SEEK_DATA)
                except OSError: break
                offset -= offset % 4096
                piece = os.pread(file.fileno(), 4096, offset)
                if piece.count(0) != len(piece): hasher.update(b'%d:' % offset + piece)
                offset += 4096
        return hasher.hexdigest()

    def copy_root(lower, upper):
        """A layer that says nothing of the root leaves it as it is."""
        info = os.lstat(lower)
        os.chown(upper, info.st_uid, info.st_gid)
        os.chmod(upper, stat.S_IMODE(info.st_mode))
        if ROOTED: TIMES[upper] = info.st_mtime_ns

    TIMES = {}

    def compare(work, image, layers):
        work = os.fsencode(work)
        sh('mount', '--make-rprivate', '/')
        backing = os.path.join(work, b'backing')
        with open(backing, 'wb') as file: file.truncate(4 << 30)
        sh('mkfs.ext4', '-qF', '-O', '^has_journal', backing)
        base = os.path.join(work, b'base'); os.mkdir(base)
        sh('mount', '-o', 'loop', backing, base)
        roots, first = [], 0
        for index, layer in enumerate(layers):
            root = os.path.join(base, b'%d' % index); os.mkdir(root)
            if roots: copy_root(roots[-1], root)
            unpack(layer, root, list(reversed(roots)))
            # The kernel does not look for the mark in the root of a layer.
            if 'trusted.overlay.opaque' in os.listxattr(root): first = index
            roots.append(root)
        empty = os.path.join(base, b'e'); os.mkdir(empty)
        union = os.path.join(base, b'union'); os.mkdir(union)
        os.chdir(base)
        lowers = ':'.join([str(i) for i in reversed(range(first, len(layers)))] + ['e'])
        sh('mount', '-t', 'overlay', '-o', 'ro,xino=on,lowerdir=' + lowers, 'overlay', union)
        mounted = os.path.join(base, b'image'); os.mkdir(mounted)
        sh('mount', '-o', 'ro,loop', image, mounted)
        try:
            expected, actual = scan(union), scan(mounted)
        finally:
            os.chdir('/')
            for path in (mounted, union, base): subprocess.run(['umount', path])
        different = False
        for name in sorted(set(expected) | set(actual)):
            if expected.get(name) != actual.get(name):
                different = True
                print(name[:200], 'overlay:', expected.get(name), 'image:', actual.get(name))
        if not different: print('equal')

    if sys.argv[1] == 'compare': compare(sys.argv[2], sys.argv[3], sys.argv[4:])
    """#
