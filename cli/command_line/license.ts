// The text that -L prints in every command.

/** The licence notice. */
export const LICENSE_TEXT = `\
mungebox is an independent implementation of MUNGE, the MUNGE Uid 'N' Gid
Emporium. The original is at https://dun.github.io/munge/

This program is free software under the GNU General Public License of the
Free Software Foundation: you may use, share and change it under the terms
of that licence's version 3 or, if you prefer, of any later version.

Its library parts (the directory lib and the module mod.ts) may instead be
used under the GNU Lesser General Public License, version 3 or later.

It comes with NO WARRANTY of any kind, not even the implied ones of
merchantability or of fitness for a purpose. The licences have the details:
https://www.gnu.org/licenses/

`;
