'use strict';
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const root = document.documentElement;

  // Light or dark: the system's choice until somebody presses the button.
  const theme = one('.theme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const stored = {
    get: () => { try { return localStorage.getItem('cowdb-theme'); } catch { return null; } },
    set: (name) => { try { localStorage.setItem('cowdb-theme', name); } catch { /* a page without storage */ } },
  };
  const dark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const tell = () => theme.setAttribute('aria-pressed', String(dark()));
  if (['light', 'dark'].includes(stored.get())) root.dataset.theme = stored.get();
  theme.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    stored.set(root.dataset.theme);
    tell();
  });
  system.addEventListener('change', tell);
  theme.hidden = false;
  tell();

  // Boxes that scroll can be reached with the keyboard; those that do not are no stop.
  const boxes = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute('tabindex');
    }
  });
  for (const box of all('.box')) boxes.observe(box);
})();
